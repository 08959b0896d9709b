"""Several applications with services: the order they stop and start in, and what becomes of one that does not obey. The units of systemd."""
import configparser
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from office import BINARY, ROOT, Office

NAMES = ("laboratory", "xray", "reception")


class Services(unittest.TestCase):
    """Three services that note what is asked of them; `SERVICE.how` says how one misbehaves."""

    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()
        cls.root = cls.office.directory
        (cls.root / "medium").mkdir()
        applications = ""
        for name in NAMES:
            (cls.root / name).mkdir()
            (cls.root / name / "file").write_text(name)
            cls.script(name, "stop", f'how=$(cat {cls.root}/{name}.stop 2>/dev/null)\necho stop {name} >> {cls.root}/order\n'
                                     f'case "$how" in fails) echo "{name} does not want to" >&2; exit 3;; hangs) exec sleep 1000;; esac\nrm -f {cls.root}/{name}.runs\n')
            cls.script(name, "start", f'how=$(cat {cls.root}/{name}.start 2>/dev/null)\necho start {name} >> {cls.root}/order\n'
                                      f'case "$how" in fails) exit 1;; hangs) exec sleep 1000;; esac\ntouch {cls.root}/{name}.runs\n')
            cls.script(name, "running", f'test -e {cls.root}/{name}.runs\n')
            applications += (f'[[application]]\nname = "{name}"\nstop = ["{cls.root}/{name}-stop"]\nstart = ["{cls.root}/{name}-start"]\n'
                             f'running = ["{cls.root}/{name}-running"]\nstop_seconds = 1\nstart_seconds = 1\n'
                             f'  [[application.folder]]\n  root = "{cls.root}/{name}"\n  restore = ["file"]\n')
        (cls.office.data / "config" / "backup.toml").write_text(f'[backup]\ntarget = "{cls.root}/medium"\nverify = "L3"\n[plan]\nscheduler = "off"\n{applications}')

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    @classmethod
    def script(cls, name, verb, text):
        path = cls.root / f"{name}-{verb}"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)

    def setUp(self):
        for path in (*self.root.glob("*.stop"), *self.root.glob("*.start"), self.root / "order"):
            path.unlink(missing_ok=True)
        for name in NAMES:
            (self.root / f"{name}.runs").touch()

    def how(self, name, verb, what):
        (self.root / f"{name}.{verb}").write_text(what)

    def order(self):
        return (self.root / "order").read_text().splitlines()

    def running(self):
        return [name for name in NAMES if (self.root / f"{name}.runs").exists()]

    def run_backup(self):
        return self.office.run("--json", "backup", "run")

    def test_they_stop_in_the_order_of_the_file_and_start_in_reverse(self):
        done = self.run_backup()
        self.assertEqual(done.code, 0, done.output + done.errors)
        self.assertEqual(self.order(), ["stop laboratory", "stop xray", "stop reception", "start reception", "start xray", "start laboratory"])
        self.assertEqual(self.running(), list(NAMES))

    def test_what_does_not_run_is_neither_stopped_nor_started(self):
        (self.root / "xray.runs").unlink()
        self.assertEqual(self.run_backup().code, 0)
        self.assertEqual(self.order(), ["stop laboratory", "stop reception", "start reception", "start laboratory"])

    def test_one_that_refuses_to_stop_makes_the_set_incomplete_and_is_started_too(self):
        self.how("xray", "stop", "fails")
        done = self.run_backup()
        self.assertEqual(done.code, 10, done.output + done.errors)
        report = done.json()
        self.assertEqual((report["outcome"], report["level"]), ("incomplete", "L3"))
        self.assertEqual(len(report["reasons"]), 1)
        self.assertRegex(report["reasons"][0], "xray: its services could not be stopped.*ended with 3: xray does not want to")
        # Half of it may be down: starting it again does no harm.
        self.assertEqual(self.order()[-3:], ["start reception", "start xray", "start laboratory"])
        self.assertEqual(self.running(), list(NAMES))

    def test_one_that_hangs_while_it_stops_is_given_up_at_its_limit(self):
        self.how("laboratory", "stop", "hangs")
        done = self.run_backup()
        self.assertEqual(done.code, 10, done.output + done.errors)
        self.assertRegex(done.json()["reasons"][0], "^laboratory: its services could not be stopped")
        self.assertEqual(self.running(), list(NAMES))
        # No child of the command is left behind.
        self.assertEqual(subprocess.run(["pgrep", "-f", f"{self.root}/laboratory-stop"], capture_output=True, text=True).stdout, "")

    def test_one_that_does_not_come_back_is_named_and_the_others_run(self):
        for what in ("fails", "hangs"):
            with self.subTest(what=what):
                self.setUp()
                self.how("xray", "start", what)
                done = self.run_backup()
                self.assertEqual(done.code, 20, done.output + done.errors)
                report = done.json()
                self.assertEqual(report["services_down"], ["xray"])
                self.assertEqual(report["outcome"], "complete", "the set is whole all the same")
                self.assertEqual(self.running(), ["laboratory", "reception"])
                again = self.office.run("--json", "backup", "recover")
                self.assertEqual((again.code, again.json()["services_down"]), (20, ["xray"]))
                (self.root / "xray.start").unlink()
                self.assertEqual(self.office.run("backup", "recover").code, 0)
                self.assertEqual(self.running(), list(NAMES))

    def test_a_person_is_told_in_words(self):
        self.how("xray", "start", "fails")
        done = self.office.run("backup", "run", "--no-verify", LC_ALL="de_DE.UTF-8")
        self.assertEqual(done.code, 20)
        self.assertIn("xray", done.output)
        self.assertIn("verbund backup recover", done.output)
        (self.root / "xray.start").unlink()
        self.assertEqual(self.office.run("backup", "recover").code, 0)

    def test_a_restore_stops_only_whom_it_concerns_and_nothing_when_one_refuses(self):
        self.assertEqual(self.run_backup().code, 0)
        self.office.stop()
        try:
            (self.root / "order").unlink()
            (self.root / "xray" / "file").write_text("of today")
            restored = self.office.run("--json", "backup", "restore", "--set", "newest", "--in-place", "--yes", "--only", "xray")
            self.assertEqual(restored.code, 0, restored.output + restored.errors)
            self.assertEqual(self.order(), ["stop xray", "start xray"])
            self.assertEqual((self.root / "xray" / "file").read_text(), "xray")
            (self.root / "xray" / "file").write_text("of today")
            self.how("reception", "stop", "fails")
            refused = self.office.run("--json", "backup", "restore", "--set", "newest", "--in-place", "--yes")
            self.assertEqual(refused.code, 20, refused.output + refused.errors)
            self.assertIn("reception", refused.output + refused.errors)
            self.assertEqual((self.root / "xray" / "file").read_text(), "of today", "a program that still writes would mix old and new")
            self.assertEqual(self.running(), list(NAMES))
        finally:
            self.office.start()


class Units(unittest.TestCase):
    """packaging/systemd."""

    def setUp(self):
        self.folder = ROOT / "packaging" / "systemd"

    def unit(self, name):
        parser = configparser.ConfigParser(interpolation=None, strict=True)
        parser.optionxform = str
        parser.read(self.folder / name)
        return parser

    def words(self, line):
        """Of a command of ours: the subcommand exists and takes them."""
        program, *words = line.split()
        self.assertEqual(program, "/usr/bin/verbund")
        helped = subprocess.run([BINARY, *words, "--help"], capture_output=True, text=True)
        self.assertEqual(helped.returncode, 0, line + ": " + helped.stderr)
        return words

    def test_they_call_what_exists_and_services_come_back_however_a_run_ended(self):
        backup = self.unit("verbund-backup.service")["Service"]
        self.assertEqual(self.words(backup["ExecStart"])[-2:], ["backup", "night"])
        self.assertEqual(self.words(backup["ExecStopPost"])[-2:], ["backup", "recover"])
        self.assertEqual(backup["Type"], "oneshot")
        self.assertEqual(backup["TimeoutStartSec"], "infinity", "a run takes as long as it takes")
        self.assertEqual(self.words(self.unit("verbund.service")["Service"]["ExecStart"])[-1], "node")
        self.assertEqual(self.unit("verbund-backup.timer")["Timer"]["Persistent"], "true", "a night when the machine was off is made up for")
        check = self.unit("verbund-check.service")
        self.assertEqual(self.words(check["Service"]["ExecStart"])[-2:], ["backup", "check"])
        self.assertEqual(check["Service"]["SuccessExitStatus"].split(), ["10", "50"], "what needs somebody is told by mail, not by a failed unit")
        self.assertNotIn("verbund.service", str(dict(check["Unit"])), "it speaks also when there is no node")
        for name in ("verbund-backup", "verbund-check"):
            self.assertEqual(self.unit(f"{name}.timer")["Timer"]["OnCalendar"], "*:0/15")

    def test_systemd_itself_finds_nothing_wrong(self):
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            self.skipTest("systemd-analyze is not installed")
        with tempfile.TemporaryDirectory() as scratch:
            for unit in self.folder.iterdir():
                # The package's program is not installed here.
                (pathlib.Path(scratch) / unit.name).write_text(unit.read_text().replace("/usr/bin/verbund", BINARY))
            paths = sorted(str(path) for path in pathlib.Path(scratch).iterdir())
            done = subprocess.run([analyze, "verify", "--recursive-errors=no", *paths], capture_output=True, text=True)
        # Of machines that systemd does not run on, it says so.
        said = [line for line in done.stderr.splitlines() if not re.search("System has not been booted|SYSTEMD_OFFLINE|Failed to (connect|initialize|set up)", line)]
        self.assertEqual(said, [])
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
