"""Nurses who see the patients of their assignments; copies of devices; what the office sees of it. D7, D10, D12."""
import contextlib
import json
import pathlib
import sqlite3
import ssl
import unittest
import urllib.request

from office import Office, wait_for

RULES = """[[subscription]]
name = "patients"
table = "patient"
filter = "id IN (SELECT patient_id FROM care WHERE nurse = :user AND ended IS NULL)"
rights = ["read", "insert", "update", "delete"]

[[subscription]]
name = "observations"
table = "observation"
filter = "encounter_id IN (SELECT id FROM encounter WHERE patient_id IN (SELECT patient_id FROM care WHERE nurse = :user AND ended IS NULL))"
rights = ["read", "insert", "update"]

[[set]]
name = "tour"
subscriptions = ["patients", "observations"]

[[group]]
name = "nurses"
sets = ["tour"]

[[user]]
name = "anna"
group = "nurses"

[[user]]
name = "jörg"
group = "nurses"
"""

TABLES = """
CREATE TABLE patient (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE care (id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patient ON DELETE CASCADE, nurse text NOT NULL, ended date);
CREATE TABLE encounter (id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES patient ON DELETE CASCADE);
CREATE TABLE observation (id integer PRIMARY KEY, encounter_id integer NOT NULL REFERENCES encounter ON DELETE CASCADE, text text NOT NULL);
INSERT INTO patient VALUES (1, 'Müller'), (2, 'Groß'), (3, 'Weiß');
INSERT INTO care VALUES (1, 1, 'anna'), (2, 2, 'anna'), (3, 2, 'jörg');
INSERT INTO encounter VALUES (10, 1), (20, 2), (30, 3);
INSERT INTO observation VALUES (100, 10, 'Puls 70'), (200, 20, 'Puls 80'), (300, 30, 'Puls 90');
"""


class Members(unittest.TestCase):
    def setUp(self):
        self.office = Office(demo=None).start()
        self.addCleanup(self.office.close)
        self.office.psql(TABLES)
        rules = self.office.directory / "regeln.toml"
        rules.write_text(RULES, encoding="utf-8")
        self.office.run("sync", "apply", str(rules)).check()

    def tablet(self, user, name):
        file = self.office.directory / f"{name}.db"
        code = self.office.run("sync", "device", "invite", "--user", user, "--name", name).check().output.split()[0]
        self.device("init", file, "--server", f"127.0.0.1:{self.office.port}", "--code", code).check()
        self.device("sync", file).check()
        return file

    def device(self, verb, file, *words):
        return self.office.run("--json", "device", verb, "--db", str(file), *words)

    def has(self, file):
        """As another program would look."""
        query = "SELECT coalesce((SELECT group_concat(name, ' ') FROM patient), '') || ' | ' || coalesce((SELECT group_concat(text, ' ') FROM observation), '')"
        with contextlib.closing(sqlite3.connect(file)) as app:
            return app.execute(query).fetchone()[0]

    def synced(self, file):
        self.device("sync", file).check()
        return self.has(file)

    def change(self, file, sql):
        with sqlite3.connect(file) as app:
            app.executescript(sql)
        app.close()

    def behind_the_feed(self, sql):
        """The office's change, and everything that devices have to know of it."""
        before = int(self.position())
        self.office.psql(sql)
        wait_for(lambda: int(self.position()) > before, "the feed")

    def position(self):
        return self.office.psql("SELECT csn FROM feed.position", database="verbund_mid")

    def test_a_tour_changes_hands(self):
        """Given a nurse with two patients, When one is given to a colleague and a new one comes, Then her next sync takes and brings patients and observations, also old ones."""
        anna, joerg = self.tablet("anna", "Tablet Anna"), self.tablet("jörg", "Tablet Jörg")
        self.assertEqual(self.has(anna), "Müller Groß | Puls 70 Puls 80")
        self.assertEqual(self.has(joerg), "Groß | Puls 80")
        self.behind_the_feed("UPDATE care SET nurse = 'jörg' WHERE id = 1; INSERT INTO care VALUES (4, 3, 'anna')")
        self.assertEqual(self.held(1, "observations", 100), "leaves")
        self.assertIn("ältere Version", self.office.run("sync", "held", "1", "patients", "3", LC_ALL="de_DE.UTF-8", LANG="de_DE.UTF-8").check().output)
        self.assertEqual(self.synced(anna), "Groß Weiß | Puls 80 Puls 90")
        self.assertEqual(self.synced(joerg), "Müller Groß | Puls 70 Puls 80")
        self.assertEqual(self.held(1, "observations", 300), "current")
        self.assertEqual(self.held(2, "observations", 300), "none")
        self.change(anna, "UPDATE observation SET text = 'Puls 81' WHERE id = 200")
        self.behind_the_feed("UPDATE care SET ended = '2026-01-31' WHERE id = 2")
        self.assertEqual(self.device("sync", anna).check().json()["rejected"], 1)
        self.assertEqual(self.has(anna), "Weiß | Puls 90")
        self.assertEqual(self.office.psql("SELECT text FROM observation WHERE id = 200"), "Puls 80")

    def held(self, device, subscription, key):
        return self.office.run("--json", "sync", "held", str(device), subscription, str(key)).check().json()["holds"]

    def test_any_key_can_be_asked_for(self):
        """Given a table without a filter whose keys have slashes, blanks and percent signs, When somebody asks which version a device has, Then it is said of each, and of none that there is not."""
        self.office.psql("CREATE TABLE note (id text PRIMARY KEY, text text); INSERT INTO note VALUES ('a/b', 'x'), ('a b%2f', 'x'), ('ü/ß/', 'x')")
        rules = self.office.directory / "mehr.toml"
        rules.write_text(RULES.replace('["patients", "observations"]', '["patients", "observations", "all notes"]') + '\n[[subscription]]\nname = "all notes"\ntable = "note"\ndirection = "down"\n', encoding="utf-8")
        self.office.run("sync", "apply", str(rules)).check()
        anna = self.tablet("anna", "Tablet Anna")
        self.synced(anna)
        self.assertEqual([self.held(1, "all notes", key) for key in ("a/b", "a b%2f", "ü/ß/", "a/c")], ["current", "current", "current", "none"])

    def test_a_copied_file_is_a_device_of_its_own_and_the_office_is_told(self):
        """Given a tablet whose file somebody has copied, When both go on, Then nothing is lost or done twice, the list says whose copy it is, and the office's people are told."""
        anna = self.tablet("anna", "Tablet Anna")
        copy = self.office.directory / "Kopie.db"
        with contextlib.closing(sqlite3.connect(anna)) as app:
            app.execute(f"VACUUM INTO '{copy}'")
        self.change(anna, "UPDATE patient SET name = 'Müller-Lüdenscheidt' WHERE id = 1")
        self.change(copy, "UPDATE patient SET name = 'Groß-Klein' WHERE id = 2")
        self.device("sync", anna).check()
        self.device("sync", copy).check()
        self.assertEqual(self.synced(anna), self.synced(copy))
        self.assertEqual(self.has(copy), "Müller-Lüdenscheidt Groß-Klein | Puls 70 Puls 80")
        self.assertEqual(self.device("status", copy).check().json()["device"], "2")
        shown = self.office.run("sync", "status", LC_ALL="de_DE.UTF-8", LANG="de_DE.UTF-8").check().output
        self.assertIn("Kopie von 1", shown)
        self.assertIn("sync.device.split", self.office.psql("SELECT string_agg(action, ' ') FROM access.audit", database="verbund_mid"))
        self.office.psql("UPDATE sync.session SET acknowledged = acknowledged - interval '10 days' WHERE device = 1", database="verbund_mid")
        self.office.stop()
        self.office.start()
        wait_for(lambda: {"sync/copy/2", "sync/away/1"} <= {state.get("key") for state in self.alarms()}, "the alarms")
        metrics = self.metrics()
        self.assertIn("verbund_sync_devices 2", metrics)
        self.assertIn("verbund_sync_devices_away 1", metrics)

    def test_the_office_says_how_long_it_is_patient(self):
        """Given an office that wants to hear of devices after five days and of rejects after one, Then it hears of the device of six and not of that of four, and of the reject of yesterday."""
        for name in ("Tablet Anna", "Tablet Bert"):
            self.tablet("anna", name)
        rejected = "INSERT INTO sync.change (device, upload, row, subscription, table_id, op, base, key, columns, state, reason, decided) VALUES (2, 1, 0, 'patients', 0, 'D', 0, '1', '{}', 'rejected', 'conflict', now() - interval '26 hours')"
        days = "UPDATE sync.session SET acknowledged = acknowledged - CASE device WHEN 1 THEN interval '6 days' ELSE interval '4 days' END"
        self.office.psql(f"{days}; {rejected}", database="verbund_mid")
        self.office.stop()
        config = self.office.data / "config" / "verbund.toml"
        config.write_text(config.read_text(encoding="utf-8").replace("[sync]\n", "[sync]\noverdue_days = 5\nrejects_days = 1\n"), encoding="utf-8")
        self.office.start()
        wait_for(lambda: {"sync/away/1", "sync/rejects"} <= {state.get("key") for state in self.alarms()}, "the alarms")
        self.assertNotIn("sync/away/2", {state.get("key") for state in self.alarms()})

    def metrics(self):
        context = ssl.create_default_context(cafile=str(self.office.data / "tls" / "ca.crt"))
        with urllib.request.urlopen(f"https://127.0.0.1:{self.office.port}/metrics", timeout=20, context=context) as answer:
            return answer.read().decode("utf-8")

    def alarms(self):
        file = pathlib.Path(self.office.data / "alarm" / "states.jsonl")
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


if __name__ == "__main__":
    unittest.main()
