"""A pair whose PostgreSQL dies, whose log is gone, whose disks are full or wrong. T2, T4, T7.

As test_mirror_net.py: machines with networks of their own, a writer on the client, the texts of docs/operations/mirror-scenarios.md.
"""
import json
import os
import signal
import shutil
import socket
import unittest

from net import full_disk, resize
from net_pair import EVERY, PATIENCE, NetPair, damage_first_page, needs_networks
from office import wait_for


@needs_networks
class Disks(NetPair):
    disk_mb = 4000

    def superuser(self, sql):
        return self.psql(self.production, sql, role="verbund", database="postgres")

    def close_log(self, files):
        """So many files of the log are written and closed."""
        for _ in range(files):
            self.psql(self.production, "INSERT INTO letters (t) SELECT md5(n::text) FROM generate_series(1, 1000) AS n")
            self.superuser("SELECT pg_switch_wal()")

    def let_go(self):
        self.await_state(self.production, "production to miss the mirror", lambda state: not state["pair"]["peer"]["alive"] and not state["slot"]["active"])

    def archive(self):
        """Production's node makes it with the first file that it keeps. Whether the mirror was away for long enough since the join is chance: once it never was, and this waited in vain."""
        archive = self.production.data / "postgres" / "archive"
        archive.mkdir(mode=0o700, exist_ok=True)
        return archive

    def setUp(self):
        super().setUp()
        self.psql(self.production, "CREATE TABLE IF NOT EXISTS letters (n serial, t text)")

    def test_a_page_is_damaged_when_a_mirror_joins(self):
        """Given production with a table of which a page does not agree with its checksum, When a machine joins as its mirror, Then the join is refused
        with the page's file, the client goes on writing, and once the table is mended the same command goes on and makes a mirror that has
        everything."""
        writer = self.writer("damaged")
        self.psql(self.production, "CREATE TABLE victim AS SELECT n, md5(n::text) AS t FROM generate_series(1, 1000) AS n")
        path = self.psql(self.production, "SELECT pg_relation_filepath('victim')")
        self.superuser("CHECKPOINT")
        damage_first_page(self.production, path)

        def refused(new, code):
            done = new.join(code)
            error = json.loads(done.output.splitlines()[-1])["error"]
            self.assertNotEqual(done.code, 0)
            self.assertRegex(error["message"], f"checksum.*{path}")
            self.assertFalse((new.data / "postgres" / "data").exists())
            writer.wait_more()
            self.psql(self.production, "DROP TABLE victim")
        self.replace_mirror(refused)
        self.assertEqual(self.well(), (self.production, self.mirror))
        self.await_all(self.mirror, "damaged", writer.end())

    def test_postgresql_is_stopped_at_once(self):
        """Given production, its mirror and a client that writes, When PostgreSQL is stopped in immediate mode on production and then on the mirror,
        Then each is started again by its node, production in the same term, the client goes on, and the mirror has everything that was
        acknowledged by itself."""
        term = self.state(self.production)["pair"]["term"]
        writer = self.writer("stopped")
        for side in (self.production, self.mirror):
            before = side.postmaster()
            os.kill(before, signal.SIGQUIT)
            wait_for(lambda: side.postmaster() not in (None, before) and self.ask(side, "SELECT 1"), "another PostgreSQL", PATIENCE, EVERY)
            writer.wait_more()
            self.assertEqual(self.well(), (self.production, self.mirror))
        self.assertEqual(self.state(self.production)["pair"]["term"], term)
        self.await_all(self.mirror, "stopped", writer.end())

    def test_the_archive_fails(self):
        """Given a mirror that is cut off and a client that writes, When the disk on which production keeps log for the mirror is full, Then the client
        goes on writing and production says why log can't be kept, and when there is room again it keeps it, and the mirror, reached again,
        has everything."""
        writer = self.writer("archived")
        with full_disk(self.archive()):
            self.part()
            self.let_go()
            self.close_log(2)
            self.await_state(self.production, "production to say that log can't be kept", lambda state: "archive" in state["follow"]["log"]["error"])
            writer.wait_more()
        self.await_state(self.production, "production to keep the log", lambda state: not state["follow"]["log"]["error"] and int(state["follow"]["log"]["segments"]) > 0)
        self.production.machine.reach_all()
        self.mirror.machine.reach_all()
        self.assertEqual(self.well(), (self.production, self.mirror))
        self.await_all(self.mirror, "archived", writer.end())

    def test_the_log_that_the_mirror_needs_is_gone(self):
        """Given a mirror that is cut off, no room for log that is kept for it beside PostgreSQL's, and a client that writes, When the files of the log
        that the mirror needs are deleted on production, Then the client goes on writing, both machines say that the mirror needs a new copy,
        and when the mirror is copied anew on command it has everything, and its old data are kept until they are given up by host name and term."""
        writer = self.writer("deleted")
        with full_disk(self.archive()):
            self.part()
            self.let_go()
            needed = self.superuser("SELECT pg_walfile_name(restart_lsn + 1) FROM pg_replication_slots WHERE slot_name LIKE 'verbund_mirror%'")
            self.close_log(3)
            self.superuser("CHECKPOINT")
            current = self.superuser("SELECT pg_walfile_name(pg_current_wal_lsn())")
            log = self.production.data / "postgres" / "data" / "pg_wal"
            gone = [path for path in log.iterdir() if len(path.name) == 24 and needed <= path.name < current]
            self.assertGreaterEqual(len(gone), 2)
            for path in gone:
                path.unlink()
        self.await_state(self.production, "production to say that the mirror needs a new copy", lambda state: state["slot"]["lost"])
        self.production.machine.reach_all()
        self.mirror.machine.reach_all()
        self.await_state(self.mirror, "the mirror to say that it needs a new copy", lambda state: state["slot"]["lost"])
        for side in (self.production, self.mirror):
            self.assertIn("the mirror needs a new copy", side.run("mirror", "status").check().output)
        writer.wait_more()
        self.assertIn("only a fenced machine rejoins", self.mirror.run("--json", "mirror", "rejoin").output)
        self.mirror.run("--json", "mirror", "rejoin", "--anew").check()
        self.assertEqual(self.well(), (self.production, self.mirror))
        self.await_all(self.mirror, "deleted", writer.end())
        old = self.mirror.data / "postgres" / "data.1"
        kept = self.mirror.run("--json", "mirror", "release").check().json()["kept"]
        self.assertEqual([(each["path"], each["term"]) for each in kept], [(str(old), "1")])
        self.assertEqual(self.mirror.run("mirror", "release", "another", "1").code, 2, "the wrong machine")
        self.assertTrue((old / "PG_VERSION").exists())
        self.mirror.run("mirror", "release", socket.gethostname(), "1").check()
        self.assertFalse(old.exists())

    def test_the_mirrors_disk_is_full(self):
        """Given production, its mirror and a client that writes, When the mirror's disk is full, Then the client goes on writing, production says how far
        the mirror is behind and does not claim that it streams, and when there is room again the mirror has everything by itself, in the
        same term."""
        term = self.state(self.production)["pair"]["term"]
        writer = self.writer("filled")
        resize(self.mirror.directory, (shutil.disk_usage(self.mirror.directory).used >> 20) + 1)
        self.close_log(4)
        self.await_state(self.production, "production to say that the mirror is behind",
                         lambda state: not state["slot"]["active"] and int(state["slot"]["kept_bytes"]) > 1 << 25 and not (state["mirror"] or {}).get("streaming"))
        said = "".join(path.read_text(encoding="utf-8", errors="replace") for path in (self.mirror.data / "postgres" / "log").iterdir())
        self.assertIn("No space left on device", said)
        writer.wait_more()
        resize(self.mirror.directory, self.disk_mb)
        self.assertEqual(self.well(), (self.production, self.mirror))
        self.assertEqual(self.state(self.production)["pair"]["term"], term)
        self.await_all(self.mirror, "filled", writer.end())


if __name__ == "__main__":
    unittest.main()
