"""A production that was overtaken learns of it from the place outside the house. T4, B5; LESSONS "Mirror", two nodes split."""
import os
import shutil
import signal
import unittest

from office import BINARY, Program, wait_for
from remotes import Server
from test_mirror_roles import Pair


@unittest.skipUnless(shutil.which("rclone"), "rclone is not installed")
class OutsideTheHouse(Pair):
    """Given a pair whose machines send their sets to the same place outside the house, and a mirror that was promoted while production stood still or was off, When the new production is not
    to be reached, Then the old one finds the proof of the higher term outside the house, sends nothing there, and takes no more writes, whatever a person says."""

    def setUp(self):
        super().setUp()
        self.server = Server("webdav", self.office.directory).start()
        self.addCleanup(self.server.stop)
        key = self.office.run("--json", "backup", "key", "new", str(self.office.directory / "doctor.key"), "--name", "Dr. Adler").check().json()["recipient"]
        for side in (self.office, self.mirror):
            target = side.directory / "medium"
            target.mkdir()
            secrets = side.data / "secrets" / "rclone.conf"
            secrets.write_text(self.server.section("bank"))
            secrets.chmod(0o600)
            (side.data / "config" / "backup.toml").write_text(
                f'[backup]\ntarget = "{target}"\nverify = "L1"\n[plan]\nscheduler = "off"\n[encryption]\nrecipients = ["{key}"]\n'
                '[[offsite]]\nname = "bank"\nremote = "bank"\ndirectory = "practice"\nkeep = 1\n', encoding="utf-8")

    def marks(self):
        return sorted(path.name for path in (self.server.files / "practice" / "verbund-terms").glob("*"))

    def terms(self):
        return [mark.split(".")[0] for mark in self.marks()]

    def sets_outside(self):
        return sorted(path.name for path in (self.server.files / "practice").glob("2*"))

    def promote_and_stop(self):
        """The mirror takes over, leaves its proof with its next round, and is then off."""
        wait_for(lambda: not self.state(self.mirror)["pair"]["peer"]["alive"], "the mirror to miss production")
        token = self.mirror.run("--json", "mirror", "promote").check().json()["token"]
        self.mirror.run("--json", "mirror", "promote", "--accept-loss", token).check()
        self.production_again(self.mirror)
        self.mirror.run("--json", "backup", "check")
        self.assertEqual(self.terms(), ["1", "2"], "it says so at once, not only with its next set")
        self.mirror.stop()

    def fenced(self):
        wait_for(lambda: self.state(self.office).get("role") == "fenced", "the old production to be fenced")
        wait_for(lambda: not self.state(self.office)["pair"]["running"], "its PostgreSQL to stop")

    def copy(self):
        self.office.run("--json", "backup", "run").check()
        return self.office.run("--json", "backup", "offsite", "copy")

    def test_thawed_it_sends_nothing_out_and_is_fenced(self):
        self.copy().check()
        before = self.sets_outside()
        self.assertEqual(len(before), 1)
        self.assertRegex(self.marks()[0], r"^1\.[0-9a-f]{64}$")
        listed = self.office.run("--json", "backup", "offsite", "list").check().json()["sites"][0]
        self.assertEqual(listed["ignored"], [], "the proofs are no sets that are broken")
        self.office.run("--json", "backup", "run").check()
        node = self.office.node.process.pid
        os.kill(node, signal.SIGSTOP)
        self.addCleanup(lambda: self.office.node.process.poll() is None and os.kill(node, signal.SIGCONT))
        self.promote_and_stop()
        os.kill(node, signal.SIGCONT)
        self.production_again(self.office)
        done = self.office.run("--json", "backup", "offsite", "copy")
        self.assertEqual(done.json()["sites"][0]["error"]["code"], "pair_refused", done.output)
        self.assertIn("the proof of term 2 lies there", done.output)
        self.assertEqual(self.sets_outside(), before, "nothing stale leaves the house")
        self.fenced()

    def test_restarted_it_is_not_opened_by_a_persons_word(self):
        self.office.run("--json", "backup", "check")
        self.assertEqual(self.terms(), ["1"])
        # Whoever lays something there without the pair's secret fences nobody.
        (self.server.files / "practice" / "verbund-terms" / ("9." + "0" * 64)).write_text("x")
        self.copy().check()
        self.assertEqual(self.state(self.office)["role"], "production")
        (self.server.files / "practice" / "verbund-terms" / ("9." + "0" * 64)).unlink()
        os.kill(self.office.postmaster(), signal.SIGKILL)
        self.office.kill()
        self.promote_and_stop()
        self.office.node = Program([BINARY, "--dir", str(self.office.data), "--json", "node", "--listen", f"127.0.0.1:{self.office.port}"])
        self.office.node.line(lambda line: '"started":true' in line or '"error"' in line)
        wait_for(lambda: self.state(self.office).get("pair") and self.state(self.office)["pair"]["waits_for_person"], "it to wait for a person")
        self.refused(self.office.run("--json", "mirror", "open", "--switched-off", self.state(self.office)["pair"]["peer"]["name"]), "the proof of term 2 lies there")
        self.fenced()


if __name__ == "__main__":
    unittest.main()
