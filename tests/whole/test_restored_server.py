"""A PostgreSQL server that somebody takes back to an earlier day, databases of Verbund included, and one that merely crashes."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import unittest

from office import Office, wait_for
from somebody_elses_server import SomebodyElsesServer
from test_existing_server import office_on


class RestoredServer(unittest.TestCase):
    def setUp(self):
        self.server = SomebodyElsesServer("logical", {"max_connections": 150})
        self.office = office_on(self.server)

    def tearDown(self):
        self.office.close()
        self.server.close()

    def position(self):
        history, csn = self.server.sql("SELECT history_id || ' ' || csn FROM feed.position", "verbund_mid").split()
        return history, int(csn)

    def copy(self, source, target):
        shutil.rmtree(target, ignore_errors=True)
        # Owners stay: cp -a as root.
        self.assertEqual(os.spawnlp(os.P_WAIT, "cp", "cp", "-a", str(source), str(target)), 0)

    def test_cursors_of_a_later_day_end_when_an_older_copy_is_put_back(self):
        copy = pathlib.Path(self.server.directory) / "copy"
        self.office.start()
        station = self.office.workstation("Sekretariat").keep_alive()
        self.server.sql("INSERT INTO akte SELECT i, 'a' FROM generate_series(1, 20) i")
        station.event("changes")
        self.office.stop()
        self.server.stop()
        self.copy(self.server.data, copy)
        self.server.start()
        self.office.start()
        station = self.office.workstation("Sekretariat").keep_alive()
        for number in range(21, 41):
            self.server.sql(f"INSERT INTO akte VALUES ({number}, 'lost')")
        station.event("changes", lambda event: any(change["key"] == "akte/40" for change in event["changes"]))
        cursor = dict(zip(("history", "csn"), map(str, self.position())))
        end = self.server.sql("SELECT pg_current_wal_lsn()")
        self.office.kill()
        self.server.stop()
        self.copy(copy, self.server.data)
        self.server.start()
        # The office goes on working before Verbund is started, until the log is longer than it was.
        self.server.sql("INSERT INTO akte SELECT i, 'new' FROM generate_series(101, 103) i; CREATE TABLE anderswo (text text)")
        while self.server.sql(f"SELECT pg_current_wal_lsn() > '{end}'") != "t":
            self.server.sql("INSERT INTO anderswo SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
        self.office.start()
        history, csn = self.position()
        self.assertNotEqual(history, cursor["history"])
        self.assertGreaterEqual(csn, int(cursor["csn"]), "no number is given twice")
        late = self.office.workstation("Archiv").keep_alive()
        self.assertEqual(late.ask("watch", watch={"types": ["*"], "locks": True, "presence": True}, cursor=cursor)["ok"], True)
        self.assertEqual(late.event("snapshot")["reason"], "history_changed")
        self.server.sql("UPDATE akte SET betreff = 'goes on' WHERE nummer = 1")
        late.event("changes", lambda event: any(change["key"] == "akte/1" for change in event["changes"]))
        shadow = self.server.sql("SELECT shadow FROM feed.source_table WHERE table_name = 'akte'", "verbund_mid")
        self.assertEqual(self.server.sql(f"SELECT count(*), sum(nummer::int) FROM feed.{shadow}", "verbund_mid"),
                         self.server.sql("SELECT count(*), sum(nummer) FROM akte"))
        # Once: the next start goes on.
        self.office.stop()
        self.office.start()
        self.assertEqual(self.position()[0], history)

    def test_a_crash_of_the_server_is_no_restored_copy(self):
        self.office.start()
        before = self.position()[0]
        station = self.office.workstation("Sekretariat").keep_alive()
        for number in range(1, 11):
            self.server.sql(f"INSERT INTO akte VALUES ({number}, 'a')")
            if number % 5 != 0:
                continue
            station.event("changes", lambda event: any(change["key"] == f"akte/{number}" for change in event["changes"]))
            self.server.stop("immediate")
            if number == 10:
                self.office.kill()
            self.server.start()
        snapshots = [event for event in station.events if event["event"] == "snapshot"]
        self.office.start()
        self.server.sql("UPDATE akte SET betreff = 'b' WHERE nummer = 1")
        wait_for(lambda: self.server.sql("SELECT count(*) FROM feed.change", "verbund_mid") == "11", "everything is in the journal, once")
        self.assertEqual(self.position()[0], before)
        self.assertEqual(self.server.sql("SELECT count(*) FROM feed.transaction WHERE xid = 0", "verbund_mid"), "0")
        self.assertEqual(snapshots, [])


    @contextlib.contextmanager
    def open_transaction(self, statement):
        argv, environment = self.server.psql("-f", "-")
        with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
            psql.stdin.write(f"BEGIN; {statement}; SELECT 'open';\n")
            psql.stdin.flush()
            self.assertEqual(psql.stdout.readline().strip(), "open")
            yield
            psql.stdin.write("COMMIT;\n")

    def test_clients_come_in_while_the_node_compares(self):
        self.office.start()
        self.server.sql("INSERT INTO akte VALUES (1, 'a'), (2, 'b')")
        self.office.workstation("Sekretariat").keep_alive().close()
        self.office.stop()
        self.server.sql("SELECT pg_drop_replication_slot('verbund_feed')")
        self.server.sql("UPDATE akte SET betreff = 'c' WHERE nummer = 1; DELETE FROM akte WHERE nummer = 2")
        with self.open_transaction("INSERT INTO akte VALUES (3, 'open')"):
            # A new slot waits for it, and with it the comparison; the office does not.
            self.office.start()
            status = self.office.run("--json", "status").check().json()["feed"]
            self.assertEqual(status["state"], "waiting")
            station = self.office.workstation("Archiv").keep_alive()
            station.ask("watch", watch={"types": ["*"], "locks": True, "presence": True})
        station.event("feed", lambda event: event["state"] == "running")
        changes = station.event("changes", lambda event: len(event["changes"]) == 3)["changes"]
        self.assertEqual(sorted((change["key"], change["op"]) for change in changes), [("akte/1", "update"), ("akte/2", "delete"), ("akte/3", "insert")])

    def test_clients_are_told_when_the_server_keeps_too_much_log(self):
        config = self.office.data / "config" / "verbund.toml"
        config.write_text(config.read_text(encoding="utf-8").replace("# lag_warn_mb = 1024", "lag_warn_mb = 2"), encoding="utf-8")
        self.server.sql("CREATE TABLE anderswo (text text)")
        self.office.start()
        station = self.office.workstation("Sekretariat").keep_alive()
        # It keeps the log from being given up.
        with self.open_transaction("INSERT INTO akte VALUES (1, 'a')"):
            self.server.sql("INSERT INTO anderswo SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
            told = station.event("feed", lambda event: "alarm" in event)
            self.assertEqual(told["state"], "running")
            self.assertIn("MB of WAL for the slot", told["alarm"])
            self.assertIn("MB of WAL for the slot", self.office.run("--json", "status").check().json()["feed"]["alarm"])
            told = len(station.events)
        # The slot's claim moves with the next record of running transactions that is confirmed.
        self.server.sql("CHECKPOINT; SELECT pg_log_standby_snapshot()" if self.server.sql("SHOW server_version_num") >= "160000" else "CHECKPOINT")
        station.event("feed", lambda event: "alarm" not in event, after=told, patience=90)


if __name__ == "__main__":
    unittest.main()
