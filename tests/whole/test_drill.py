"""The drill: the office from a set alone, on a system of another name, and its result in the office."""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from office import BINARY, Office, Outcome

OTHER = "pc-empfang"


def another_system_possible():
    return shutil.which("unshare") and subprocess.run(["unshare", "--uts", "hostname", OTHER], capture_output=True).returncode == 0


class Drill(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()
        cls.root = cls.office.directory
        cls.medium = cls.root / "medium"
        cls.medium.mkdir()
        cls.application = cls.root / "opt" / "practice"
        (cls.application / "bin").mkdir(parents=True)
        (cls.application / "bin" / "program").write_text("program\n")
        # Runs beside the restored office: its folders and its database are there.
        cls.selftest = cls.root / "selftest"
        cls.configure()
        cls.selftest_says('cat "$VERBUND_DRILL_FOLDERS"' + f'{cls.application}/bin/program && [ "$(psql -X -A -t -c "SELECT count(*) > 0 FROM patient")" = t ]')
        cls.set = cls.office.run("--json", "backup", "run", "--verify", "L2").check().json()
        cls.signer = cls.office.run("--json", "backup", "key", "signer").check().json()["signer"]

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    @classmethod
    def selftest_says(cls, script):
        cls.selftest.write_text("#!/bin/sh\n" + script + "\n")
        cls.selftest.chmod(0o755)

    @classmethod
    def configure(cls, extra=""):
        (cls.office.data / "config" / "backup.toml").write_text(f"""
[backup]
target = "{cls.medium}"
{extra}
[plan]
scheduler = "off"
[[application]]
name = "practice"
check = ["{cls.selftest}"]
  [[application.folder]]
  root = "{cls.application}"
  restore = ["bin"]
""", encoding="utf-8")

    def setUp(self):
        if not another_system_possible():
            self.skipTest("a second host name can't be had here (unshare --uts)")
        self.scratch = self.root / "drill"
        shutil.rmtree(self.scratch, ignore_errors=True)

    def drill(self, *words, set_path=None, signer=None, elsewhere=True):
        argv = [BINARY, "--json", "backup", "drill", "--set", set_path or self.set["path"], "--dir", str(self.scratch), "--signer", signer or self.signer, *words]
        if elsewhere:
            argv = ["unshare", "--uts", "sh", "-c", f'hostname {OTHER} && exec "$@"', "sh", *argv]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("VERBUND_")}
        return Outcome(subprocess.run(argv, capture_output=True, text=True, timeout=400, cwd=self.root, stdin=subprocess.DEVNULL,
                                      env={**environment, "LC_ALL": "C.UTF-8"}))

    def enter(self, *words):
        return self.office.run("--json", "backup", "drill", "enter", *words)

    def servers(self):
        """Processes of the scratch installation."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if str(self.scratch).encode() in (process / "cmdline").read_bytes():
                    found.append(process.name)
            except OSError:
                continue
        return found

    def test_the_office_comes_up_elsewhere_is_signed_off_and_removed(self):
        before = self.office.psql("SELECT count(*) FROM patient")
        done = self.drill("--sign", "Frau Müller")
        self.assertEqual(done.code, 0, done.output + done.errors)
        report = done.json()
        checks = {check["what"]: check for check in report["checks"]}
        self.assertTrue(all(check["passed"] for check in report["checks"]), report)
        self.assertTrue({"database praxis", "the node starts", "the feed runs, in step with the database", "check of practice"} <= set(checks), checks)
        self.assertIn("each as in the set", checks["database praxis"]["detail"])
        self.assertEqual((report["system"], report["by"], report["same_system"]), (OTHER, "Frau Müller", False))
        self.assertFalse(self.scratch.exists(), "it removes itself")
        self.assertEqual(self.servers(), [])
        self.assertEqual(self.office.psql("SELECT count(*) FROM patient"), before)
        # In the office: the file, the code; not a code with another name.
        entered = self.enter(report["file"])
        self.assertEqual(entered.code, 0, entered.output + entered.errors)
        self.assertEqual(entered.json()["set"], self.set["set"])
        again = self.enter(report["code"].lower().replace("-", " "), "--by", "Frau Müller", "--system", OTHER)
        self.assertIn("entered already", again.output, "the code says the same")
        self.assertEqual(self.enter(report["code"], "--by", "Frau Maier", "--system", OTHER).code, 4)
        self.assertEqual(self.enter(report["code"]).code, 2)
        drills = (self.office.data / "backup" / "drills.jsonl").read_text(encoding="utf-8").splitlines()
        self.assertEqual(len([line for line in drills if json.loads(line)["set"] == self.set["set"] and json.loads(line)["passed"]]), 1)
        self.assertIn(OTHER, (self.office.data / "backup" / "ledger.jsonl").read_text(encoding="utf-8"), "alarms know of it")
        forged = pathlib.Path(report["file"])
        forged.write_text(forged.read_text().replace("pc-empfang", "pc-empfanh"))
        self.assertEqual(self.enter(str(forged)).code, 4)

    def test_where_the_set_was_made_it_refuses(self):
        refused = self.drill("--sign", "Frau Müller", elsewhere=False)
        self.assertEqual(refused.code, 4, refused.output)
        self.assertIn("--same-system", refused.output + refused.errors)
        self.assertFalse(self.scratch.exists())
        done = self.drill("--sign", "Frau Müller", "--same-system", elsewhere=False)
        self.assertEqual(done.code, 0, done.output + done.errors)
        report = done.json()
        self.assertTrue(report["same_system"])
        self.assertEqual(self.enter(report["file"]).code, 4, "it does not count")
        self.assertEqual(self.enter(report["code"], "--by", report["by"], "--system", report["system"]).code, 4)

    def test_an_application_that_does_not_work_is_a_failed_drill(self):
        self.selftest_says("echo no licence >&2; exit 3")
        try:
            done = self.drill("--sign", "Frau Müller")
        finally:
            self.selftest_says("exit 0")
        self.assertEqual(done.code, 40, done.output)
        report = done.json()
        self.assertFalse(report["passed"])
        failed = [check for check in report["checks"] if not check["passed"]]
        self.assertEqual([check["what"] for check in failed], ["check of practice"])
        self.assertIn("no licence", failed[0]["detail"])
        self.assertEqual(self.enter(report["code"], "--by", "Frau Müller", "--system", OTHER).json()["passed"], False, "a failed one is entered, too")

    def test_without_a_name_it_does_not_count(self):
        done = self.drill()
        self.assertEqual(done.code, 10, done.output + done.errors)
        self.assertEqual((done.json()["code"], done.json()["file"]), ("", ""))

    def test_what_is_there_is_not_touched(self):
        self.scratch.mkdir()
        (self.scratch / "letter").write_text("mine\n")
        self.assertEqual(self.drill("--sign", "x").code, 4)
        self.assertEqual((self.scratch / "letter").read_text(), "mine\n")

    def test_a_damaged_or_foreign_set_is_refused(self):
        damaged = self.root / "damaged" / self.set["set"]
        shutil.copytree(self.set["path"], damaged)
        victim = next(damaged.rglob("praxis.dump.zst"))
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
        done = self.drill("--sign", "x", set_path=str(damaged))
        self.assertEqual(done.code, 40, done.output + done.errors)
        self.assertFalse(self.scratch.exists())
        other = Office()
        try:
            other.init()
            key = other.run("--json", "backup", "key", "signer").check().json()["signer"]
        finally:
            other.close()
        self.assertEqual(self.drill("--sign", "x", signer=key).code, 4)


if __name__ == "__main__":
    unittest.main()
