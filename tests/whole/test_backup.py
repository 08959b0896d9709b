"""The whole office in one set: run, proof, faults; by outside tools alone."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

from office import BINARY, wait_for
from other_time import with_clock_at
from practice import NOON, Practice
from somebody_elses_server import SomebodyElsesServer


class WholeOffice(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.practice = Practice()

    @classmethod
    def tearDownClass(cls):
        cls.practice.close()

    def setUp(self):
        self.practice.configure()
        for name in ("hold", "broken", "was-stopped"):
            (self.practice.scripts / name).unlink(missing_ok=True)
        self.practice.start_service()

    def assert_service_runs(self):
        self.assertTrue(self.practice.service_runs(), "the service was left down")

    # -- run, list, show, verify

    def test_a_run_saves_all_proves_it_and_brings_services_back(self):
        done = self.practice.run("--verify", "L4")
        self.assertEqual(done.code, 0, done.output + done.errors)
        report = done.json()
        self.assertEqual((report["outcome"], report["level"]), ("complete", "L4"))
        self.assertIn("feed held at LSN", report["barrier"])
        self.assert_service_runs()
        self.assertTrue((self.practice.scripts / "was-stopped").exists())
        newest = self.practice.sets()[-1]
        self.assertEqual((newest["set"], newest["level"], newest["complete"]), (report["set"], "L4", True))
        manifest = self.practice.backup("show", "newest").check().json()
        self.assertEqual({entry["name"] for entry in manifest["databases"]}, {"praxis", "verbund_mid", "SIQVersions"})
        self.assertIn("7.2", [entry["version"] for entry in manifest["folders"]])
        self.assertEqual(self.practice.backup("verify", "newest", "--level", "L3").code, 0)

    def test_damage_is_named_and_the_set_is_believed_no_more(self):
        report = self.practice.run("--no-verify").json()
        folder = pathlib.Path(report["path"])
        victim = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
        done = self.practice.backup("verify", report["set"], "--level", "L1")
        self.assertEqual(done.code, 40, done.output + done.errors)
        self.assertIn(victim.name, done.output)
        listed = next(entry for entry in self.practice.sets() if entry["set"] == report["set"])
        self.assertTrue(listed["damaged"])
        shutil.rmtree(folder)

    def test_what_is_missing_makes_the_set_incomplete_and_is_named(self):
        self.practice.configure(save='save = ["bin", "not-there"]')
        done = self.practice.run("--no-verify")
        self.assertEqual(done.code, 10, done.output + done.errors)
        report = done.json()
        self.assertEqual(report["outcome"], "incomplete")
        self.assertIn("not-there", " ".join(report["reasons"]))
        self.assert_service_runs()
        listed = next(entry for entry in self.practice.sets() if entry["set"] == report["set"])
        self.assertFalse(listed["complete"])

    def test_a_service_that_does_not_come_back_is_told(self):
        (self.practice.scripts / "broken").touch()
        done = self.practice.run("--no-verify")
        self.assertEqual(done.code, 20, done.output + done.errors)
        self.assertEqual(done.json()["services_down"], ["practice"])
        self.assertEqual(self.practice.backup("recover").code, 20, "it is still broken")
        (self.practice.scripts / "broken").unlink()
        self.assertEqual(self.practice.backup("recover").code, 0)
        self.assert_service_runs()

    def test_dry_run_touches_nothing(self):
        before = self.practice.sets()
        done = self.practice.run("--dry-run").check().json()
        self.assertEqual(done["stops"], ["practice"])
        self.assertEqual(len(done["databases"]), 3)
        self.assertFalse((self.practice.scripts / "was-stopped").exists())
        self.assertEqual(self.practice.sets(), before)

    # -- faults

    def start_run(self, *words):
        program = self.practice.office.command("backup", "run", "--no-verify", *words)
        return program

    def test_killed_at_any_step_services_come_back_and_no_half_set_counts(self):
        numbers = [int(entry["sequence"]) for entry in self.practice.sets()] or [0]
        for step in ("stopping practice", "taking one snapshot", "copying", "starting practice", "publishing"):
            with self.subTest(step=step):
                program = self.start_run()
                program.line(lambda line: line.startswith(step), errors=True)
                program.process.kill()
                program.wait()
                self.practice.backup("recover").check()
                self.assert_service_runs()
                self.assertEqual(len(self.practice.sets()), len([n for n in numbers if n]) if numbers != [0] else 0)
        done = self.practice.run("--no-verify")
        self.assertEqual(done.code, 0, done.output + done.errors)
        self.assertGreater(int(done.json()["sequence"]), max(numbers) + 4, "killed runs have had their numbers")
        self.assertEqual([path.name for path in self.practice.target.glob(".*.partial")], [])

    def test_the_node_starts_what_a_killed_run_left_stopped(self):
        (self.practice.scripts / "hold").touch()
        program = self.start_run()
        wait_for(lambda: (self.practice.scripts / "was-stopped").exists(), "the service is stopped")
        program.process.kill()
        program.wait()
        (self.practice.scripts / "hold").unlink()
        self.assertFalse(self.practice.service_runs())
        self.practice.office.stop()
        self.practice.office.start()
        wait_for(self.practice.service_runs, "the node has started the service")

    def test_two_runs_never_collide(self):
        (self.practice.scripts / "hold").touch()
        first = self.start_run()
        wait_for(lambda: (self.practice.scripts / "was-stopped").exists(), "the first run has begun")
        second = self.practice.run()
        self.assertEqual(second.code, 4, second.output)
        self.assertIn("verbund backup run since 20", second.output)
        self.assertIn(f"pid {first.process.pid}", second.output)
        (self.practice.scripts / "hold").unlink()
        self.assertEqual(first.wait(), 0, first.errors)
        self.assert_service_runs()

    def test_interrupted_it_ends_in_order(self):
        (self.practice.scripts / "hold").touch()
        program = self.start_run()
        wait_for(lambda: (self.practice.scripts / "was-stopped").exists(), "the service is stopped")
        before = self.practice.sets()
        program.send_signal(signal.SIGTERM)
        (self.practice.scripts / "hold").unlink()
        self.assertEqual(program.wait(), 20, program.errors)
        self.assert_service_runs()
        self.assertEqual(self.practice.sets(), before)

    def test_a_full_medium_leaves_no_set_and_services_running(self):
        small = self.practice.root / "small"
        small.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "verbund-small", small], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"a small file system can't be mounted here: {done.stderr.strip()}")
        try:
            done = self.practice.run("--target", str(small))
            self.assertIn(done.code, (20, 30), done.output + done.errors)
            self.assert_service_runs()
            self.assertEqual([path.name for path in small.iterdir() if (path / "SHA256SUMS").exists()], [])
        finally:
            subprocess.run(["umount", "-l", small], check=True)

    def test_a_medium_that_is_pulled_out(self):
        elsewhere = self.practice.root / "pulled-out"
        (self.practice.scripts / "hold").touch()
        program = self.start_run()
        wait_for(lambda: (self.practice.scripts / "was-stopped").exists(), "the service is stopped")
        self.practice.target.rename(elsewhere)
        try:
            (self.practice.scripts / "hold").unlink()
            self.assertIn(program.wait(), (20, 30), program.errors)
            self.assert_service_runs()
        finally:
            elsewhere.rename(self.practice.target)
        self.assertEqual(self.practice.run("--target", str(elsewhere)).code, 30, "not there at all")

    def test_a_clock_that_is_off_changes_neither_the_order_nor_what_is_kept(self):
        first = self.practice.run().json()
        for shift in ("-1d", "+1d", "+2y", "-2y"):
            done = subprocess.run(with_clock_at(shift, BINARY, "--dir", self.practice.office.data, "--json", "backup", "run", "--verify", "L3"),
                                  capture_output=True, text=True, timeout=120, env={**os.environ, "NO_FAKE_STAT": "1", "LC_ALL": "C.UTF-8"})
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        sets = self.practice.sets()
        sequences = [int(entry["sequence"]) for entry in sets]
        self.assertEqual(sequences, sorted(set(sequences)))
        self.assertGreater(sequences[-1], int(first["sequence"]))
        self.practice.run().json()
        refused = self.practice.backup("prune", "--keep", "1")
        self.assertEqual(refused.code, 10, refused.output)
        self.assertEqual(len(self.practice.sets()), len(sets) + 1, "nothing was removed")
        for entry in self.practice.sets():
            shutil.rmtree(entry["path"])

    def test_prune_needs_a_new_proven_set_and_keeps_its_floor(self):
        for entry in self.practice.sets():
            shutil.rmtree(entry["path"])
        self.practice.configure(keep=2)
        for _ in range(3):
            self.assertEqual(self.practice.run().code, 0)
        self.assertEqual(self.practice.backup("prune", "--keep", "1").code, 2, "below the floor")
        planned = self.practice.backup("prune", "--dry-run").check().json()["removed"]
        self.assertEqual(len(planned), 1)
        self.assertEqual(len(self.practice.sets()), 3)
        self.assertEqual(self.practice.backup("prune").check().json()["removed"], planned)
        self.assertEqual(len(self.practice.sets()), 2)
        self.assertEqual(self.practice.backup("prune").code, 10, "no new set since then")

    # -- encryption

    def test_an_encrypted_set_opens_with_the_key_alone(self):
        key = self.practice.root / "doctor.key"
        key.unlink(missing_ok=True)
        line = self.practice.backup("key", "new", str(key), "--name", "Dr. Adler").check().json()["recipient"]
        self.practice.configure(extra=f'[encryption]\nwhen = "always"\nrecipients = ["{line}"]\n')
        done = self.practice.run()
        self.assertEqual(done.code, 0, done.output + done.errors)
        report = done.json()
        self.assertIn("encrypted", report["not_higher"])
        self.assertEqual(self.practice.backup("verify", report["set"], "--level", "L4").code, 10, "not without a key")
        self.assertEqual(self.practice.backup("verify", report["set"], "--level", "L4", "--key", str(key)).code, 0)
        shutil.rmtree(report["path"])

    # -- by outside tools alone

    def test_outside_tools_rebuild_everything(self):
        report = self.practice.run().check().json()
        folder = pathlib.Path(report["path"])
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)
        out = self.practice.root / "by-hand"
        out.mkdir()
        manifest = json.loads((folder / "manifest.json").read_text())
        parts = {member["name"]: member["parts"] for member in manifest["members"]}

        def plain(name):
            packed = b"".join((folder / part).read_bytes() for part in parts[name])
            return subprocess.run(["zstd", "-dc"], input=packed, stdout=subprocess.PIPE, check=True).stdout

        entry = next(entry for entry in manifest["folders"] if entry["application"] == "practice")
        subprocess.run(["tar", "--xattrs", "--acls", "-xpf", "-", "-C", out], input=plain(entry["member"]), check=True)
        # The archive holds the tree below its root; what differs is what was left out.
        there = out if (out / "VERSION").exists() else next(path.parent for path in out.rglob("VERSION"))
        differences = subprocess.run(["rsync", "-aAXHnci", "--exclude=/log/", f"{self.practice.application}/", f"{there}/"], capture_output=True,
                                     text=True, check=True).stdout
        self.assertEqual([line for line in differences.splitlines() if not line.startswith(".d")], [])
        self.assertEqual((there / "bin/program").stat().st_mtime_ns, NOON)
        for database in manifest["databases"]:
            archive = self.practice.root / "archive.dump"
            archive.write_bytes(plain(database["member"]))
            done = subprocess.run(["pg_restore", "-f", "/dev/null", str(archive)], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    # A stranger did the first steps as root; "as user postgres" the next one could not read what they had made.
    def test_a_stranger_types_what_restore_txt_says(self):
        folder = pathlib.Path(self.practice.run().json()["path"])
        text = (folder / "RESTORE.txt").read_text(encoding="utf-8")
        out = self.practice.root / "stranger"
        for language, words in (("Deutsch", text.split("=== English ===")[0]), ("English", text.split("=== English ===")[1])):
            shutil.rmtree(out, ignore_errors=True)
            commands = [line[4:] for line in words.splitlines() if line.startswith("    ") and not line.startswith("    apt install")]
            typed = "\n".join(commands).replace("/var/tmp/restored", str(out))
            server = SomebodyElsesServer(wal_level="replica")
            try:
                if os.geteuid() != 0:  # the tests' own user is the scratch server's superuser
                    typed = typed.replace("runuser -u postgres -- ", "")
                done = subprocess.run(["bash", "-e", "-c", typed], cwd=folder, capture_output=True, text=True, timeout=120,
                                      env={**os.environ, "PGHOST": str(server.directory), "PGUSER": "postgres", "LC_ALL": "C.UTF-8"})
                self.assertEqual(done.returncode, 0, language + ": " + done.stdout + done.stderr)
                for table in ("patient", "observation", "care_assignment"):
                    rows = f"SELECT md5(string_agg(t::text, '\n' ORDER BY t::text)) FROM {table} t"
                    self.assertEqual(server.sql(rows, "praxis"), self.practice.office.psql(rows), f"{language}: {table}")
            finally:
                server.stop()
                shutil.rmtree(server.directory)
            self.assertTrue(any(out.rglob("orant.db")), language)


if __name__ == "__main__":
    unittest.main()
