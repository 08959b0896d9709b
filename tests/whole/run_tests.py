#!/usr/bin/env python3
"""run_tests.py MODULE RESULTS.xml: runs one module of whole-binary tests and writes a JUnit file that ./test counts."""
import pathlib
import sys
import time
import unittest
import xml.etree.ElementTree as xml


class Recorder(unittest.TextTestResult):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.cases = []

    def startTest(self, test):
        super().startTest(test)
        self.begun = time.monotonic()

    def _add(self, test, kind=None, text=""):
        name = test.id().split(".")
        case = xml.Element("testcase", classname=name[-2], name=name[-1], time=f"{time.monotonic() - self.begun:.3f}")
        if kind:
            xml.SubElement(case, kind).text = text
        self.cases.append(case)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._add(test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._add(test, "failure", self._exc_info_to_string(error, test))

    def addError(self, test, error):
        super().addError(test, error)
        self.begun = getattr(self, "begun", time.monotonic())
        self._add(test, "error", self._exc_info_to_string(error, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"skipped: {test.id()}: {reason}")
        self._add(test, "skipped", reason)


def main():
    module, results = sys.argv[1:]
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    suite = unittest.defaultTestLoader.loadTestsFromName(module)
    outcome = unittest.TextTestRunner(resultclass=Recorder, verbosity=2).run(suite)
    root = xml.Element("testsuite", name=module, tests=str(outcome.testsRun))
    root.extend(outcome.cases)
    pathlib.Path(results).parent.mkdir(parents=True, exist_ok=True)
    xml.ElementTree(root).write(results, encoding="utf-8")
    sys.exit(0 if outcome.wasSuccessful() else 1)


main()
