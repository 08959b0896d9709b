"""The office from a set: in place, for a look, in parts, from the medium alone; killed anywhere, it is the old office or the new one."""
import json
import shutil
import subprocess
import unittest

from office import BINARY, Office, Program, wait_for
from practice import NOON, Practice


class Restore(unittest.TestCase):
    def setUp(self):
        self.practice = Practice()

    def tearDown(self):
        self.practice.close()

    def csn(self):
        return int(self.practice.office.psql("SELECT csn FROM feed.position", "verbund_mid"))

    def test_the_office_comes_back_in_place(self):
        practice, office = self.practice, self.practice.office
        patient = office.a_patient()
        name = office.psql(f"SELECT family_name FROM patient WHERE id = '{patient}'")
        count = office.psql("SELECT count(*) FROM patient")
        self.assertEqual(practice.run().code, 0)
        # A day's work that is to be undone.
        office.psql(f"DELETE FROM patient WHERE id = '{patient}'")
        (practice.application / "bin/program").write_text("virus\n")
        (practice.application / "database/new.db").write_text("new\n")
        (practice.application / "VERSION").write_text("7.3\n")
        wait_for(lambda: self.csn() > 0, "the feed has it")
        before = self.csn()
        running = practice.backup("restore", "--set", "newest", "--in-place", "--yes")
        self.assertEqual(running.code, 4, "the node runs: " + running.output)
        office.stop()
        other = practice.backup("restore", "--set", "newest", "--in-place", "--yes")
        self.assertEqual(other.code, 4, other.output)
        self.assertIn("7.3", other.output)
        (practice.application / "VERSION").write_text("7.2\n")
        planned = practice.backup("restore", "--set", "newest", "--in-place", "--dry-run").check().json()
        self.assertEqual(len(planned["databases"]), 3)
        self.assertEqual((practice.application / "bin/program").read_text(), "virus\n")
        done = practice.backup("restore", "--set", "newest", "--in-place", "--yes")
        self.assertEqual(done.code, 0, done.output + done.errors)
        self.assertEqual((practice.application / "bin/program").read_text(), "program\n")
        self.assertEqual((practice.application / "bin/program").stat().st_mtime_ns, NOON)
        self.assertFalse((practice.application / "database/new.db").exists(), "old and new are not mixed")
        self.assertEqual((practice.application / "bin_Original/program").read_text(), "virus\n")
        self.assertTrue(practice.service_runs())
        office.start()
        self.assertEqual(office.psql("SELECT count(*) FROM patient"), count)
        self.assertEqual(office.psql(f"SELECT family_name FROM patient WHERE id = '{patient}'"), name)
        self.assertIn("praxis_before_", office.psql("SELECT string_agg(datname, ' ') FROM pg_database"))
        other_patient = office.a_patient(1)
        office.psql(f"UPDATE patient SET id = id WHERE id = '{other_patient}'")
        wait_for(lambda: self.csn() >> 40 > before >> 40, "the next change is of a higher term: no csn of before is given again")
        wait_for(lambda: json.loads(office.run("--json", "status").check().output)["feed"]["state"] == "running", "the feed runs again")

    def test_a_look_into_a_set_touches_nothing_that_is_present(self):
        practice, office = self.practice, self.practice.office
        practice.run().check()
        program = practice.application / "bin/program"
        program.write_text("of today\n")
        office.stop()
        into = practice.root / "look"
        both = practice.backup("restore", "--set", "newest", "--into", str(into), "--in-place", "--yes")
        self.assertEqual(both.code, 2, both.output)
        practice.backup("restore", "--set", "newest", "--into", str(into), "--yes").check()
        there = into / "folders" / str(practice.application).lstrip("/")
        self.assertEqual((there / "bin/program").read_text(), "program\n")
        self.assertEqual((there / "bin/program").stat().st_mtime_ns, NOON)
        archives = [path for path in (into / "db").iterdir() if "praxis" in path.name]
        self.assertEqual(len(archives), 1, list((into / "db").iterdir()))
        listed = subprocess.run(["pg_restore", "--list", str(archives[0])], capture_output=True, text=True)
        self.assertIn("TABLE DATA public patient", listed.stdout, listed.stderr)
        self.assertEqual(program.read_text(), "of today\n")
        self.assertTrue(practice.service_runs())
        office.start()
        self.assertNotIn("_before_", office.psql("SELECT string_agg(datname, ' ') FROM pg_database"))

    def test_one_file_then_one_database(self):
        practice, office = self.practice, self.practice.office
        patient = office.a_patient()
        count = office.psql("SELECT count(*) FROM patient")
        practice.run().check()
        for name in ("bin/program", "database/orant.db"):
            (practice.application / name).write_text("of today\n")
        office.psql(f"DELETE FROM patient WHERE id = '{patient}'")
        office.stop()
        unknown = practice.backup("restore", "--set", "newest", "--in-place", "--yes", "--only", "/nowhere/else")
        self.assertEqual(unknown.code, 4, unknown.output)
        practice.backup("restore", "--set", "newest", "--in-place", "--yes", "--only", str(practice.application / "bin/program")).check()
        self.assertEqual((practice.application / "bin/program").read_text(), "program\n")
        self.assertEqual((practice.application / "bin/program_Original").read_text(), "of today\n")
        self.assertEqual((practice.application / "database/orant.db").read_text(), "of today\n", "nobody asked for it")
        office.start()
        self.assertNotEqual(office.psql("SELECT count(*) FROM patient"), count, "a file brings no database along")
        office.stop()
        practice.backup("restore", "--set", "newest", "--in-place", "--yes", "--drop-old", "--only", "praxis").check()
        self.assertEqual((practice.application / "database/orant.db").read_text(), "of today\n")
        office.start()
        self.assertEqual(office.psql("SELECT count(*) FROM patient"), count)
        self.assertNotIn("_before_", office.psql("SELECT string_agg(datname, ' ') FROM pg_database"))
        wait_for(lambda: json.loads(office.run("--json", "status").check().output)["feed"]["state"] == "running", "the feed runs again")

    def test_an_office_from_the_medium_alone(self):
        practice = self.practice
        count = practice.office.psql("SELECT count(*) FROM patient")
        done = practice.run()
        self.assertEqual(done.code, 0, done.output)
        old_term = self.csn() >> 40
        practice.office.stop()
        fresh = Office(demo=None)
        try:
            shutil.rmtree(fresh.data, ignore_errors=True)
            fresh.node = Program([BINARY, "--dir", str(fresh.data), "--json", "up", "--yes", "--listen", "127.0.0.1:0", "--from-set", done.json()["path"]])
            line = fresh.node.line(lambda text: '"started":true' in text or '"error"' in text, patience=120)
            self.assertTrue(json.loads(line).get("started"), line)
            fresh.port = json.loads(line)["port"]
            self.assertEqual(fresh.psql("SELECT count(*) FROM patient"), count)
            patient = fresh.a_patient()
            fresh.psql(f"UPDATE patient SET id = id WHERE id = '{patient}'")
            wait_for(lambda: int(fresh.psql("SELECT csn FROM feed.position", "verbund_mid")) >> 40 > old_term, "a change of a higher term")
            # Accounts came along: the same token opens the same office.
            fresh.token = (fresh.data / "client.toml").read_text().split('token = "')[1].split('"')[0]
            fresh.workstation("Empfang")
        finally:
            fresh.close()


if __name__ == "__main__":
    unittest.main()
