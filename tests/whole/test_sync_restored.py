"""Devices of an office that goes back to last night's backup. D12, B4."""
import contextlib
import sqlite3
import unittest

from office import wait_for
from practice import Practice

RULES = """[[subscription]]
name = "notes"
table = "note"
rights = ["read", "insert", "update", "delete"]

[[set]]
name = "all"
subscriptions = ["notes"]

[[group]]
name = "nurses"
sets = ["all"]

[[user]]
name = "anna"
group = "nurses"
"""
ROWS = 5000


class Restored(unittest.TestCase):
    def setUp(self):
        self.practice = Practice()
        self.addCleanup(self.practice.close)
        self.office = self.practice.office
        self.office.psql(f"CREATE TABLE note (id int PRIMARY KEY, text text NOT NULL); INSERT INTO note SELECT n, 'Notiz ' || n || ' ' || md5(n::text) FROM generate_series(1, {ROWS}) n;"
                         " GRANT ALL ON note TO praxis")
        rules = self.office.directory / "regeln.toml"
        rules.write_text(RULES, encoding="utf-8")
        self.office.run("sync", "apply", str(rules)).check()

    def device(self, verb, file, *words):
        return self.office.run("--json", "device", verb, "--db", str(file), *words)

    def tablet(self, name):
        file = self.office.directory / f"{name}.db"
        code = self.office.run("sync", "device", "invite", "--user", "anna").check().output.split()[0]
        self.device("init", file, "--server", f"127.0.0.1:{self.office.port}", "--code", code).check()
        self.device("sync", file).check()
        return file

    @staticmethod
    def rows(file, query):
        with contextlib.closing(sqlite3.connect(file)) as app:
            return app.execute(query).fetchone()[0]

    @staticmethod
    def write(file, sql):
        with contextlib.closing(sqlite3.connect(file)) as app:
            app.executescript(sql)

    def behind_the_feed(self, sql):
        position = lambda: self.office.psql("SELECT csn FROM feed.position", database="verbund_mid")
        before = position()
        self.office.psql(sql)
        wait_for(lambda: position() != before, "the feed")

    def test_devices_are_where_the_office_is(self):
        """Given devices that have synced since last night's backup, When the office is restored from it, Then what they had not sent goes up, all else is as in the backup, and little of it travels."""
        anna, other = self.tablet("Tablet 1"), self.tablet("Tablet 2")
        self.assertEqual(self.practice.run().code, 0)
        # A day's work that will be undone: of the office, and of a device.
        self.behind_the_feed("UPDATE note SET text = 'heute' WHERE id = 1; DELETE FROM note WHERE id = 2; INSERT INTO note VALUES (9001, 'heute neu')")
        self.write(anna, "UPDATE note SET text = 'heute von unterwegs' WHERE id = 3")
        for file in (anna, other):
            self.device("sync", file).check()
        self.device("sync", anna).check()
        self.write(anna, "UPDATE note SET text = 'noch nicht gesendet' WHERE id = 4")
        self.office.stop()
        self.practice.backup("restore", "--set", "newest", "--in-place", "--yes").check()
        self.office.start()
        fetched = 0
        for file in (anna, other, anna):
            done = self.device("sync", file).check().json()
            fetched += sum(session["upserted"] for session in done["sessions"])
        self.assertLess(fetched, ROWS / 2, "they are repaired, not filled anew")
        self.device("sync", other).check()
        everything = "SELECT count(*) || ' ' || sum(id) || ' ' || sum(length(text)) FROM note"
        self.assertEqual(self.office.psql("SELECT text FROM note WHERE id = 4"), "noch nicht gesendet")
        self.assertEqual(self.office.psql("SELECT count(*) FROM note WHERE text LIKE 'heute%'"), "0")
        for file in (anna, other):
            self.assertEqual(self.rows(file, everything), self.office.psql(everything))
            self.assertIn("Notiz 1 ", self.rows(file, "SELECT text FROM note WHERE id = 1"))


if __name__ == "__main__":
    unittest.main()
