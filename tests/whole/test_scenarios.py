"""The mirror's scenarios read the same in the documents and in the tests. Needs nothing but the files."""
import ast
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def plain(text):
    """Without emphasis, line ends and case."""
    return " ".join(text.replace("*", "").split()).rstrip(".").casefold()


def told():
    """name → text, of `### name` and the paragraph that begins with *Given*."""
    text = (ROOT / "docs/operations/mirror-scenarios.md").read_text(encoding="utf-8")
    return {name: plain(scenario) for name, scenario in re.findall(r"^### (\w+)\n(\*Given\*.*?)(?=\n\n|\Z)", text, re.M | re.S)}


def tested():
    """name → docstring, of the tests whose docstring begins with Given."""
    found = {}
    for path in sorted((ROOT / "tests/whole").glob("test_mirror*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") else None
            if text and text.startswith("Given "):
                found[node.name.removeprefix("test_")] = plain(text)
    return found


class Scenarios(unittest.TestCase):
    def test_documents_and_tests_say_the_same(self):
        documents, tests = told(), tested()
        self.assertGreater(len(tests), 2)
        self.assertEqual(sorted(documents), sorted(tests), "each scenario is in the document and is a test")
        for name, text in documents.items():
            self.assertEqual(text, tests[name], name)
            self.assertRegex(text, "given .* when .* then ", name)


if __name__ == "__main__":
    unittest.main()
