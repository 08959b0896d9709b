"""Devices that sync with a node: processes of their own with an SQLite file, over TLS. D1 to D11."""
import pathlib
import signal
import sqlite3
import subprocess
import unittest

from office import BINARY, Office, Program, wait_for

RULES = """[[subscription]]
name = "Patienten"
table = "patient"
rights = ["read", "insert", "update", "delete"]

[[subscription]]
name = "Besuche der Pflege"
table = "visit"
filter = "nurse = :user"
rights = ["read", "insert", "update", "delete"]

[[set]]
name = "Pflege"
subscriptions = ["Patienten", "Besuche der Pflege"]

[[group]]
name = "Pflegekräfte"
sets = ["Pflege"]

[[user]]
name = "anna"
group = "Pflegekräfte"

[[user]]
name = "jörg"
group = "Pflegekräfte"
"""


class Tablet:
    def __init__(self, test, user):
        self.office = test.office
        self.file = test.office.directory / f"{user} Tablet.db"
        code = test.office.run("sync", "device", "invite", "--user", user).check().output.split()[0]
        self.run("init", "--server", f"127.0.0.1:{test.office.port}", "--code", code, "--name", f"Tablet von {user}").check()
        self.app = sqlite3.connect(self.file, isolation_level=None, timeout=30)
        test.addCleanup(self.app.close)

    def run(self, verb, *words):
        return self.office.run("--json", "device", verb, "--db", str(self.file), *words)

    def sync(self):
        return self.run("sync").check().json()

    def bytes(self):
        """Of all its files, read by another process: closing them here would end the locks of this one's connection, and SQLite with them."""
        return subprocess.run(["cat", *map(str, self.file.parent.glob(self.file.name + "*"))], stdout=subprocess.PIPE, check=True).stdout

    def rows(self, query):
        return self.app.execute(query).fetchall()


class Devices(unittest.TestCase):
    def setUp(self):
        self.office = Office(demo=None).start()
        self.addCleanup(self.office.close)
        self.office.psql("CREATE TABLE patient (id integer PRIMARY KEY, name text NOT NULL, weight numeric(5,2));"
                         "CREATE TABLE visit (id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patient ON DELETE CASCADE, nurse text NOT NULL, done boolean NOT NULL DEFAULT false);"
                         "INSERT INTO patient VALUES (1, 'Müller', 80.50), (2, 'Groß', NULL);"
                         "INSERT INTO visit VALUES (1, 1, 'anna'), (2, 2, 'jörg'), (3, 2, 'anna')")
        rules = self.office.directory / "regeln.toml"
        rules.write_text(RULES, encoding="utf-8")
        self.office.run("sync", "apply", str(rules)).check()

    def sql(self, statement):
        return self.office.psql(statement)

    def test_a_day_on_the_road(self):
        """Two nurses with their visits; changes on both sides, a conflict, and nothing that is not theirs."""
        anna, joerg = Tablet(self, "anna"), Tablet(self, "jörg")
        self.assertEqual(anna.sync()["result"], "succeeded")
        self.assertEqual(anna.rows("SELECT id, name, weight FROM patient ORDER BY id"), [(1, "Müller", "80.50"), (2, "Groß", None)])
        self.assertEqual(anna.rows("SELECT id, done FROM visit ORDER BY id"), [(1, 0), (3, 0)])
        joerg.sync()
        self.assertEqual(joerg.rows("SELECT id FROM visit"), [(2,)])

        anna.app.execute("UPDATE visit SET done = 1 WHERE id = 1")
        anna.app.execute("UPDATE patient SET weight = '79.25' WHERE id = 1")
        anna.app.execute("INSERT INTO visit VALUES (4, 1, 'anna', 0)")
        self.sql("UPDATE patient SET name = 'Müller-Groß' WHERE id = 1")
        done = anna.sync()
        self.assertEqual((done["sent"], done["applied"], done["rejected"], done["waiting"]), (3, 2, 1, 0))
        self.assertEqual(anna.rows("SELECT name, weight FROM patient WHERE id = 1"), [("Müller-Groß", "80.50")])
        rejects = anna.run("rejects").check().json()
        self.assertEqual([(one["table"], one["reason"]) for one in rejects], [("patient", "version")])
        anna.run("resolve", str(rejects[0]["id"]), "--dismiss").check()
        self.assertEqual(anna.run("status").check().json()["rejects"], 0)
        self.assertEqual(self.sql("SELECT string_agg(id || ':' || done, ' ' ORDER BY id) FROM visit WHERE nurse = 'anna'"), "1:true 3:false 4:false")

        joerg.app.execute("INSERT INTO visit VALUES (5, 1, 'anna', 0)")
        self.assertEqual(joerg.sync()["rejected"], 1)
        self.sql("UPDATE visit SET nurse = 'jörg' WHERE id = 3")
        wait_for(lambda: (anna.sync(), joerg.sync()) and anna.rows("SELECT count(*) FROM visit WHERE id = 3") == [(0,)], "the visit to change hands")
        self.assertEqual(joerg.rows("SELECT id FROM visit ORDER BY id"), [(2,), (3,)])

    def test_killed_on_either_side_it_goes_on(self):
        self.sql("INSERT INTO patient SELECT n, (SELECT string_agg(md5((n * 100 + m)::text), '') FROM generate_series(1, 10) m), NULL FROM generate_series(1000, 20000) n")
        anna = Tablet(self, "anna")
        words = [BINARY, "--json", "device", "sync", "--db", str(anna.file)]
        inbox = pathlib.Path(f"{anna.file}-verbund-inbox")
        killed = Program(words)
        wait_for(lambda: inbox.exists() and inbox.stat().st_size > 100_000, "blocks to arrive", every=0.002)
        killed.process.send_signal(signal.SIGKILL)
        killed.wait()
        self.office.kill()
        self.office.start()
        self.assertEqual(wait_for(lambda: (done := anna.run("sync")).code == 0 and done.json()["result"], "a sync to succeed"), "succeeded")
        self.assertEqual(anna.rows("SELECT count(*) FROM patient"), [(19003,)])
        self.assertFalse(inbox.exists())

    def test_who_is_shut_out_is_refused_at_once(self):
        anna = Tablet(self, "anna")
        anna.sync()
        anna.app.execute("UPDATE patient SET name = 'nie' WHERE id = 1")
        device = anna.run("status").check().json()["device"]
        self.office.run("sync", "device", "disable", device).check()
        refused = anna.run("sync")
        self.assertNotEqual(refused.code, 0)
        self.assertEqual(self.sql("SELECT name FROM patient WHERE id = 1"), "Müller")
        self.assertEqual(anna.rows("SELECT name FROM patient WHERE id = 1"), [("nie",)])

    def test_a_lost_device_removes_its_data_when_it_calls(self):
        """Given a device with patients and changes of its own, When the office revokes it, Then its next sync removes all of that, and there is nothing to read in its file."""
        anna = Tablet(self, "anna")
        anna.sync()
        anna.app.execute("UPDATE patient SET name = 'Geheimes Zeichen' WHERE id = 1")
        self.assertIn("Müller".encode(), anna.bytes())
        device = anna.run("status").check().json()["device"]
        self.office.run("sync", "device", "revoke", device).check()
        lost = anna.run("sync")
        self.assertEqual(lost.code, 4)
        self.assertIn('"revoked"', lost.output)
        self.assertEqual(anna.rows("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%patient%' OR name LIKE '%visit%'"), [(0,)])
        for word in ("Müller", "Geheimes Zeichen"):
            self.assertNotIn(word.encode(), anna.bytes())
        self.assertEqual(self.sql("SELECT name FROM patient WHERE id = 1"), "Müller", "what it had not sent is lost with it")
        self.assertIn("widerrufen", self.office.run("device", "status", "--db", str(anna.file), LC_ALL="de_DE.UTF-8").check().output)
        self.assertTrue(anna.run("status").check().json()["revoked"])

    def test_bad_words_get_clear_errors(self):
        missing = self.office.run("device", "sync", "--db", str(self.office.directory / "keines.db"))
        self.assertNotEqual(missing.code, 0)
        used = self.office.run("sync", "device", "invite", "--user", "anna").check().output.split()[0]
        first = self.office.run("device", "init", "--db", str(self.office.directory / "a.db"), "--server", f"127.0.0.1:{self.office.port}", "--code", used)
        self.assertEqual(first.code, 0, first.output)
        again = self.office.run("device", "init", "--db", str(self.office.directory / "b.db"), "--server", f"127.0.0.1:{self.office.port}", "--code", used)
        self.assertNotEqual(again.code, 0)
        self.assertNotEqual(self.office.run("device", "init", "--db", str(self.office.directory / "a.db"), "--server", f"127.0.0.1:{self.office.port}", "--code", used).code, 0)


if __name__ == "__main__":
    unittest.main()
