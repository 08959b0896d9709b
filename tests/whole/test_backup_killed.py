"""A restore that is killed anywhere: the next command ends it in the new office or the old one, nothing is mixed, services run."""
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from office import wait_for
from practice import Practice


class InPlace(unittest.TestCase):
    """The office has two states: `then`, which the set holds, and `now`. Databases and folders say which one they show."""

    @classmethod
    def setUpClass(cls):
        cls.practice = Practice()
        cls.write("then")
        cls.practice.run("--no-verify").check()
        cls.write("now")
        cls.practice.office.stop()

    @classmethod
    def tearDownClass(cls):
        cls.practice.close()

    @classmethod
    def superuser(cls, sql, database):
        data = cls.practice.office.data
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-h", str(data / "postgres" / "run"), "-U", "verbund", "-d", database, "-c", sql],
                              env={**os.environ, "PGPASSWORD": (data / "secrets" / "verbund").read_text().strip()}, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    @classmethod
    def write(cls, state):
        application = cls.practice.application
        for database, table in (("praxis", "whichever"), ("SIQVersions", "whichever")):
            cls.superuser(f"CREATE TABLE IF NOT EXISTS {table} (state text); TRUNCATE {table}; INSERT INTO {table} VALUES ('{state}')", database)
        for name in ("bin/program", "database/orant.db"):
            (application / name).write_text(state + "\n")

    def states(self):
        application = self.practice.application
        return {*(self.superuser("SELECT state FROM whichever", database) for database in ("praxis", "SIQVersions")),
                *((application / name).read_text().strip() for name in ("bin/program", "database/orant.db"))}

    def setUp(self):
        self.practice.start_service()
        for left in self.practice.application.glob("*_Original*"):
            shutil.rmtree(left)

    def start_restore(self):
        return self.practice.office.command("backup", "restore", "--set", "newest", "--in-place", "--yes", "--drop-old")

    def assert_whole(self, expected=None):
        """`backup recover` ends it; then a node starts, on one of the two states."""
        recovered = self.practice.backup("recover")
        self.assertEqual(recovered.code, 0, recovered.output + recovered.errors)
        self.assertTrue(self.practice.service_runs(), "the service was left down")
        office = self.practice.office
        office.start()
        states = self.states()
        self.assertEqual(len(states), 1, f"mixed: {recovered.errors}")
        if expected:
            self.assertEqual(states, {expected}, recovered.errors)
        self.assertEqual(office.psql("SELECT count(*) FROM pg_database WHERE datname ~ '_restoring'"), "0")
        self.assertEqual([path.name for path in self.practice.application.glob(".verbund-restore*")], [])
        self.assertFalse((office.data / "backup" / "restoring.json").exists())
        self.write("now")
        office.stop()
        return states.pop()

    def test_killed_at_any_step_it_is_the_old_office_or_the_new_one(self):
        steps = {"verifying": "now", "stopping practice": "now", "restoring database verbund_mid": "now", "restoring database praxis": "now", "unpacking": "now",
                 "exchanging databases": None, "beginning a new term": "then", "moving folders in": "then", "ending the restore": "then",
                 "starting practice": "then"}
        for step, expected in steps.items():
            with self.subTest(step=step):
                self.setUp()
                program = self.start_restore()
                program.line(lambda line: line.startswith(step), errors=True)
                program.process.kill()
                program.wait()
                # It may have come further than its last line before it died.
                state = self.assert_whole()
                if expected == "then":
                    self.assertEqual(state, "then")

    def test_killed_at_seeded_moments(self):
        begun = time.monotonic()
        self.assertEqual(self.start_restore().wait(), 0)
        whole = time.monotonic() - begun
        self.assert_whole("then")
        seed = int(os.environ.get("VERBUND_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {seed}, a restore takes {whole:.2f} s")
        dice = random.Random(seed)
        seen = []
        # The end is where names change.
        for moment in [dice.uniform(0, 1) for _ in range(2)] + [dice.uniform(0.7, 1.05) for _ in range(4)]:
            with self.subTest(seed=seed, moment=moment):
                self.setUp()
                program = self.start_restore()
                try:
                    program.process.wait(moment * whole)
                except subprocess.TimeoutExpired:
                    program.process.kill()
                program.wait()
                seen.append((round(moment, 2), self.assert_whole()))
        print(f"moments and what came of them: {seen}")

    def killed_when(self, step):
        program = self.start_restore()
        program.line(lambda line: line.startswith(step), errors=True)
        program.process.kill()
        program.wait()

    def test_the_node_s_start_ends_it_too(self):
        self.killed_when("moving folders in")
        self.practice.office.start()
        self.assertEqual(self.states(), {"then"})
        wait_for(self.practice.service_runs, "the node has started the service")
        self.write("now")
        self.practice.office.stop()

    def test_the_next_run_ends_it_first(self):
        self.killed_when("restoring database praxis")
        done = self.practice.run("--no-verify")
        self.assertEqual(done.code, 0, done.output + done.errors)
        self.assertIn("taken back", done.errors)
        shutil.rmtree(done.json()["path"])
        self.assert_whole("now")

    def test_the_next_restore_ends_it_first(self):
        self.killed_when("unpacking")
        self.assertEqual(self.start_restore().wait(), 0)
        self.assert_whole("then")

    def test_its_server_killed_too(self):
        program = self.start_restore()
        program.line(lambda line: line.startswith("restoring database praxis"), errors=True)
        postmaster = self.practice.office.postmaster()
        program.process.kill()
        program.wait()
        os.kill(postmaster, signal.SIGKILL)
        self.assert_whole("now")

    def test_a_server_that_dies_meanwhile_leaves_the_old_office(self):
        program = self.start_restore()
        program.line(lambda line: line.startswith("restoring database praxis"), errors=True)
        os.kill(self.practice.office.postmaster(), signal.SIGKILL)
        self.assertNotEqual(program.wait(), 0)
        self.assertTrue(self.practice.service_runs())
        self.assert_whole("now")

    def test_interrupted_it_takes_everything_back_itself(self):
        program = self.start_restore()
        program.line(lambda line: line.startswith("restoring database praxis"), errors=True)
        program.send_signal(signal.SIGTERM)
        self.assertNotEqual(program.wait(), 0)
        self.assertTrue(self.practice.service_runs())
        self.assertFalse((self.practice.office.data / "backup" / "restoring.json").exists(), program.errors)
        self.assert_whole("now")


if __name__ == "__main__":
    unittest.main()
