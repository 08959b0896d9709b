"""The backup of an office whose PostgreSQL somebody else runs; without a node; options of restore, dump and up --from-set."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from office import BINARY, Office, Program, wait_for
from other_time import with_clock_at
from practice import Practice
from somebody_elses_server import BINARIES, RECORD, SomebodyElsesServer


class SomebodyElses(unittest.TestCase):
    def setUp(self):
        self.server = SomebodyElsesServer(schema="CREATE TABLE akte (nummer int PRIMARY KEY, betreff text); INSERT INTO akte VALUES (1, 'damals');"
                                                 "CREATE ROLE kanzlei_leser; GRANT SELECT ON akte TO kanzlei_leser;")
        self.addCleanup(self.server.close)
        self.medium = pathlib.Path(tempfile.mkdtemp(prefix="verbund-medium-"))
        self.addCleanup(shutil.rmtree, self.medium)

    def office(self, user="postgres", more=""):
        office = Office(demo=None)
        self.addCleanup(office.close)
        office.run("init", "--database", self.server.connection_as(user)).check()
        config = office.data / "config" / "verbund.toml"
        config.write_text(config.read_text(encoding="utf-8") + RECORD, encoding="utf-8")
        (office.data / "config" / "backup.toml").write_text(f'[backup]\ntarget = "{self.medium}"\nverify = "L4"\n[plan]\nscheduler = "off"\n{more}')
        return office.start()

    def backup(self, office, *words):
        return office.run("--json", "backup", *words)

    def test_run_and_restore_with_and_without_a_node(self):
        office = self.office()
        done = self.backup(office, "run")
        self.assertEqual(done.code, 0, done.output + done.errors)
        report = done.json()
        self.assertEqual((report["outcome"], report["level"]), ("complete", "L4"))
        self.assertIn("feed held at LSN", report["barrier"])
        office.stop()
        alone = self.backup(office, "run", "--verify", "L2")
        self.assertEqual(alone.code, 0, alone.output + alone.errors)
        self.assertIn("no node runs", alone.json()["barrier"])
        self.assertTrue(self.server.answers(), "it is not ours to stop")
        self.server.sql("UPDATE akte SET betreff = 'jetzt'; INSERT INTO akte VALUES (2, 'neu')")
        restored = self.backup(office, "restore", "--set", report["set"], "--in-place", "--yes")
        self.assertEqual(restored.code, 0, restored.output + restored.errors)
        self.assertEqual({entry["name"] for entry in restored.json()["databases"]}, {"kanzlei", "verbund_mid", "SIQVersions"})
        self.assertEqual(self.server.sql("SELECT string_agg(betreff, ' ') FROM akte"), "damals")
        self.assertEqual(self.server.sql("SELECT count(*) FROM pg_database WHERE datname ~ '^kanzlei_before_'"), "1")
        self.assertEqual(self.server.sql("SELECT has_table_privilege('kanzlei_leser', 'akte', 'SELECT')"), "t")
        office.start()
        wait_for(lambda: json.loads(office.run("--json", "status").check().output)["feed"]["state"] == "running", "the feed runs again")
        station = office.workstation("Sekretariat").keep_alive()
        self.server.sql("INSERT INTO akte VALUES (7, 'danach')")
        station.event("changes", lambda event: any(change["key"] == "akte/7" for change in event["changes"]))
        station.close()

    def test_without_the_right_to_read_roles_the_set_is_incomplete_and_still_restores(self):
        self.server.sql("CREATE ROLE schreiber LOGIN REPLICATION CREATEDB; GRANT CREATE ON DATABASE kanzlei TO schreiber; ALTER DATABASE kanzlei OWNER TO schreiber;"
                        "ALTER TABLE akte OWNER TO schreiber; ALTER SCHEMA public OWNER TO schreiber")
        office = self.office("schreiber")
        done = self.backup(office, "run", "--verify", "L2")
        self.assertEqual(done.code, 10, done.output + done.errors)
        report = done.json()
        self.assertEqual(report["outcome"], "incomplete")
        self.assertEqual(len(report["reasons"]), 1)
        self.assertRegex(report["reasons"][0], "roles.*(permission denied|pg_authid)")
        office.stop()
        self.server.sql("UPDATE akte SET betreff = 'jetzt'")
        restored = self.backup(office, "restore", "--set", "newest", "--in-place", "--yes", "--only", "kanzlei")
        self.assertEqual(restored.code, 0, restored.output + restored.errors)
        self.assertEqual(self.server.sql("SELECT betreff FROM akte"), "damals")

    def test_roles_that_can_not_be_dumped_leave_no_half_member(self):
        """pg_dumpall breaks off; everything else is whole, and the set says what is lacking."""
        programs = self.medium.parent / (self.medium.name + "-programs")
        programs.mkdir()
        self.addCleanup(shutil.rmtree, programs)
        for name in ("pg_dump", "pg_restore", "psql"):
            (programs / name).symlink_to(BINARIES / name)
        (programs / "pg_dumpall").write_text("#!/bin/sh\necho 'CREATE ROLE half'\necho 'pg_dumpall: error: out of memory' >&2\nexit 1\n")
        (programs / "pg_dumpall").chmod(0o755)
        office = self.office(more=f'[databases]\nprograms = "{programs}"\n')
        done = self.backup(office, "run", "--verify", "L3")
        self.assertEqual(done.code, 10, done.output + done.errors)
        report = done.json()
        self.assertIn("out of memory", " ".join(report["reasons"]))
        folder = pathlib.Path(report["path"])
        self.assertEqual([path.name for path in folder.rglob("globals*")], [])
        self.assertEqual(subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder).returncode, 0)


class Options(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.practice = Practice()
        cls.path = cls.practice.run("--no-verify").check().json()["path"]
        cls.practice.office.stop()

    @classmethod
    def tearDownClass(cls):
        cls.practice.close()

    def up(self, *words, path=None):
        fresh = Office(demo=None)
        self.addCleanup(fresh.close)
        fresh.node = Program([BINARY, "--dir", str(fresh.data), "--json", "up", "--listen", "127.0.0.1:0", "--from-set", path or self.path, *map(str, words)])
        line = fresh.node.line(lambda text: '"started":true' in text or '"error"' in text, patience=120)
        return fresh, json.loads(line)

    def term(self, fresh):
        """As the node's epoch file has it: term and start count."""
        return tuple(int(word) for word in (fresh.data / "agent" / "epoch").read_text().split()[:2])

    def test_a_set_is_taken_only_from_its_signer(self):
        for words in ((), ("--signer", "RWQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")):
            fresh, answer = self.up(*words)
            self.assertIn("error", answer)
            self.assertFalse((fresh.data / "config").exists(), "nothing was made")
        public = self.practice.office.data / "backup" / "signing.pub"
        for signer in (public, public.read_text().splitlines()[-1]):
            fresh, answer = self.up("--signer", signer)
            self.assertTrue(answer.get("started"), answer)
            self.assertEqual(len(list((fresh.data / "backup" / "trusted").iterdir())), 1)
            fresh.stop()

    def test_two_offices_from_one_medium_that_can_not_be_written_to_have_no_token_in_common(self):
        sealed = self.practice.root / "read-only"
        sealed.mkdir()
        medium = self.practice.target
        for words in (["--bind", medium, sealed], ["-o", "remount,bind,ro", sealed]):
            done = subprocess.run(["mount", *words], capture_output=True, text=True)
            if done.returncode != 0:
                self.skipTest(f"nothing can be mounted read-only here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", sealed], check=True)
        path = sealed / pathlib.Path(self.path).name
        self.assertNotEqual(subprocess.run(["touch", sealed / "x"], capture_output=True).returncode, 0)
        epochs = []
        for clock in ("2027-01-22 08:00:00", "2027-01-22 08:01:30", "2027-01-23 00:00:00"):
            fresh = Office(demo=None)
            self.addCleanup(fresh.close)
            # The node that starts behind it is refused its port; the installation is what matters.
            done = subprocess.run(with_clock_at(f"@{clock}", BINARY, "--dir", fresh.data, "up", "--yes", "--listen", "256.0.0.1:1", "--from-set", path),
                                  capture_output=True, text=True, timeout=120, env={**os.environ, "NO_FAKE_STAT": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "LC_ALL": "C.UTF-8"})
            self.assertFalse((fresh.data / "backup" / "from-set").exists(), done.stdout + done.stderr)
            self.assertTrue((fresh.data / "agent" / "epoch").exists(), done.stdout + done.stderr)
            epochs.append(self.term(fresh))
        self.assertEqual(len(set(epochs)), 3, epochs)
        (first, first_start), (second, second_start), (next_day, _) = epochs
        self.assertEqual(first, second, "the same day")
        self.assertGreaterEqual(second_start - first_start, 16, epochs)
        self.assertEqual(next_day, first + 1)


if __name__ == "__main__":
    unittest.main()
