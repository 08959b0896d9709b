"""A backup that is made on the mirror: replay stands still while it reads, production does not notice; killed, replay goes on. T5."""
import signal
import threading
import unittest

from office import BINARY, Office, Program, wait_for
from test_mirror import Mirror, invite, open_for_mirrors, psql
from test_mirror_watch import superuser

PATIENCE = 120


class OnTheMirror(unittest.TestCase):
    """Given a production that is written to and its mirror, When the backup is made on the mirror, Then all databases belong to one position, the set is
    proven by a restore, production goes on meanwhile, and the mirror has caught up afterwards."""

    def setUp(self):
        self.office = open_for_mirrors(Office(demo=None)).start()
        self.addCleanup(self.office.close)
        self.mirror = Mirror(self.office)
        self.addCleanup(self.mirror.close)
        psql(self.office, "CREATE TABLE records AS SELECT n AS id, repeat(md5(n::text), 3) AS text FROM generate_series(1, 400000) n; ALTER TABLE records ADD PRIMARY KEY (id)")
        psql(self.office, "CREATE TABLE written (id int PRIMARY KEY)")
        self.mirror.join(invite(self.office)).check()
        self.target = self.mirror.directory / "medium"
        self.target.mkdir()
        (self.mirror.data / "config" / "backup.toml").write_text(f'[backup]\ntarget = "{self.target}"\nverify = "L4"\n[plan]\nscheduler = "off"\n', encoding="utf-8")
        self.mirror.start()
        wait_for(lambda: self.state(self.mirror).get("streaming") and self.written_here() is not None, "the mirror to follow", PATIENCE)

    def state(self, side):
        done = side.run("--json", "mirror", "status")
        return done.json() if done.code == 0 else {}

    def on_mirror(self, sql):
        return superuser(self.mirror, self.mirror.database_port(), sql)

    def paused(self):
        return self.on_mirror("SELECT pg_get_wal_replay_pause_state()") != "not paused"

    def written_here(self):
        code, output, _ = self.mirror.psql("SELECT count(*) FROM written")
        return int(output) if code == 0 else None

    def test_it_belongs_to_one_position_and_production_goes_on(self):
        ending = threading.Event()
        written = []

        def write():
            while not ending.is_set():
                psql(self.office, f"INSERT INTO written VALUES ({len(written)})")
                written.append(len(written))
        writer = threading.Thread(target=write)
        writer.start()
        self.addCleanup(writer.join)
        self.addCleanup(ending.set)
        program = Program([BINARY, "--dir", str(self.mirror.data), "--json", "backup", "run"])
        wait_for(self.paused, "replay to stand still", PATIENCE)
        before = len(written)
        wait_for(lambda: len(written) > before + 3, "production to be written to meanwhile", PATIENCE)
        report = wait_for(lambda: next((line for line in program.lines if '"barrier"' in line), None), "the backup to end", 300)
        self.assertEqual(program.wait(), 0, program.lines + program.errors)
        self.assertIn("mirror paused at LSN", report)
        self.assertIn('"level":"L4"', report)
        manifest = self.mirror.run("--json", "backup", "show", "newest").check().json()
        self.assertEqual(manifest["role"], "mirror")
        self.assertFalse(self.paused())
        ending.set()
        writer.join()
        wait_for(lambda: self.written_here() == len(written), "the mirror to have all that was written", PATIENCE)
        # Production hears of it, and that it was not made there.
        told = wait_for(lambda: (lambda machines: machines and machines["mirror"] and machines["mirror"]["backup"] and machines)(self.state(self.office).get("machines")),
                        "production to know of the backup", PATIENCE)
        self.assertIsNotNone(told["mirror"]["backup"]["good_age_s"])
        self.assertIsNone(told["production"]["backup"])
        self.assertRegex(self.office.run("mirror", "status").check().output, r"last good backup +\d+ min old, made by spiegel")

    def test_replay_goes_on_when_the_backup_is_killed(self):
        program = Program([BINARY, "--dir", str(self.mirror.data), "--json", "backup", "run", "--no-verify"])
        wait_for(self.paused, "replay to stand still", PATIENCE)
        program.process.send_signal(signal.SIGKILL)
        program.wait()
        psql(self.office, "INSERT INTO written VALUES (1)")
        wait_for(lambda: self.written_here() == 1, "replay to go on", PATIENCE)
        self.assertFalse((self.mirror.data / "mirror" / "paused").exists())
        done = self.mirror.run("--json", "backup", "run", "--no-verify").check().json()
        self.assertIn("mirror paused at LSN", done["barrier"])


if __name__ == "__main__":
    unittest.main()
