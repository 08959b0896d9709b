"""An office from the medium alone, killed anywhere: the same command again goes on from there."""
import json
import os
import random
import shutil
import subprocess
import time
import unittest

from office import BINARY, Office, Program
from practice import Practice


class FromSet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.practice = Practice()
        cls.path = cls.practice.run("--no-verify").check().json()["path"]
        cls.count = cls.practice.office.psql("SELECT count(*) FROM patient")
        cls.practice.office.stop()

    @classmethod
    def tearDownClass(cls):
        cls.practice.close()

    def up(self, fresh, path=None):
        return Program([BINARY, "--dir", str(fresh.data), "up", "--yes", "--listen", "127.0.0.1:0", "--from-set", path or self.path])

    def fresh(self):
        office = Office(demo=None)
        self.addCleanup(office.close)
        return office

    def finish(self, fresh):
        """The same command again."""
        fresh.node = Program([BINARY, "--dir", str(fresh.data), "--json", "up", "--yes", "--listen", "127.0.0.1:0", "--from-set", self.path])
        line = fresh.node.line(lambda text: '"started":true' in text or '"error"' in text, patience=120)
        self.assertTrue(json.loads(line).get("started"), line)
        fresh.port = json.loads(line)["port"]
        self.assertEqual(fresh.psql("SELECT count(*) FROM patient"), self.count)
        self.assertEqual([path.name for path in fresh.data.rglob("*_Original*")], [])
        self.assertFalse((fresh.data / "backup" / "from-set").exists())
        fresh.token = (fresh.data / "client.toml").read_text().split('token = "')[1].split('"')[0]
        fresh.workstation("Empfang").close()
        fresh.stop()

    def test_killed_at_any_step_the_same_command_ends_it(self):
        for step in ("restoring the installation", "making an empty server", "restoring database praxis", "beginning a new term"):
            with self.subTest(step=step):
                fresh = self.fresh()
                program = self.up(fresh)
                program.line(lambda line: line.startswith(step), errors=True)
                program.process.kill()
                program.wait()
                if (fresh.data / "config" / "verbund.toml").exists():
                    refused = fresh.run("node", "--listen", "127.0.0.1:0")
                    self.assertEqual(refused.code, 10, refused.output + refused.errors)
                self.finish(fresh)
                fresh.close()

    def test_killed_at_seeded_moments(self):
        fresh = self.fresh()
        begun = time.monotonic()
        self.finish(fresh)
        whole = time.monotonic() - begun
        fresh.close()
        seed = int(os.environ.get("VERBUND_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {seed}, up --from-set takes {whole:.2f} s")
        dice = random.Random(seed)
        for moment in [dice.uniform(0, 0.9) for _ in range(2)]:
            with self.subTest(seed=seed, moment=moment):
                fresh = self.fresh()
                program = self.up(fresh)
                try:
                    program.process.wait(moment * whole)
                except subprocess.TimeoutExpired:
                    program.process.kill()
                program.wait()
                if (fresh.data / "config" / "verbund.toml").exists() and not (fresh.data / "backup" / "from-set").exists():
                    # It had ended, and the node was starting: it is an installation now.
                    fresh.end_postgres()
                else:
                    self.finish(fresh)
                fresh.close()

    def test_a_directory_with_something_in_it_is_refused_and_left_alone(self):
        fresh = self.fresh()
        fresh.data.mkdir()
        (fresh.data / "letters.txt").write_text("mine\n")
        program = self.up(fresh)
        self.assertEqual(program.wait(), 4, program.errors)
        self.assertEqual([path.name for path in fresh.data.iterdir()], ["letters.txt"])

    def test_another_set_does_not_go_on_with_what_this_one_began(self):
        fresh = self.fresh()
        program = self.up(fresh)
        program.line(lambda line: line.startswith("restoring database"), errors=True)
        program.process.kill()
        program.wait()
        self.practice.office.start()
        second = self.practice.run("--no-verify").check().json()["path"]
        self.practice.office.stop()
        refused = self.up(fresh, second)
        self.assertEqual(refused.wait(), 4, refused.errors)
        self.finish(fresh)
        shutil.rmtree(second)


if __name__ == "__main__":
    unittest.main()
