"""Devices and work locks (B3): a change to a record that a workstation holds waits, then is decided by version; a device takes the lock like everybody else."""
import pathlib
import sqlite3
import unittest

from office import Office, wait_for

RULES = """[[subscription]]
name = "Patienten"
table = "patient"
rights = ["read", "update"]

[[subscription]]
name = "Besuche"
table = "encounter"
rights = ["read", "update"]

[[set]]
name = "Pflege"
subscriptions = ["Patienten", "Besuche"]

[[group]]
name = "Pflegekräfte"
sets = ["Pflege"]

[[user]]
name = "anna"
group = "Pflegekräfte"
"""


class Locks(unittest.TestCase):
    def setUp(self):
        self.office = Office(demo="synthetic").start()
        self.addCleanup(self.office.close)
        rules = self.office.directory / "regeln.toml"
        rules.write_text(RULES, encoding="utf-8")
        self.office.run("sync", "apply", str(rules)).check()
        self.patient = self.office.a_patient()
        self.file = self.office.directory / "Tablet.db"
        code = self.office.run("sync", "device", "invite", "--user", "anna").check().output.split()[0]
        self.device("init", "--server", f"127.0.0.1:{self.office.port}", "--code", code, "--name", "Tablet Süd").check()
        self.assertEqual(self.sync()["result"], "succeeded", "no restart of the node between the rules and the first sync")
        self.app = sqlite3.connect(self.file, isolation_level=None, timeout=30)
        self.addCleanup(self.app.close)

    def device(self, verb, *words):
        return self.office.run("--json", "device", verb, "--db", str(self.file), *words)

    def sync(self):
        return self.device("sync").check().json()

    def family(self):
        return self.office.psql(f"SELECT family_name FROM patient WHERE id = '{self.patient}'")

    def held(self, name="Empfang"):
        station = self.office.workstation(name).keep_alive()
        self.addCleanup(station.close)
        reply = station.ask("lock", keys=[f"patient/{self.patient}"])
        self.assertTrue(reply["ok"], reply)
        return station

    def test_a_change_to_a_held_record_waits_and_is_written_while_the_device_is_away(self):
        station = self.held()
        self.app.execute("UPDATE patient SET family_name = 'Groß' WHERE id = ?", (self.patient,))
        self.app.execute("UPDATE encounter SET status = 'cancelled' WHERE patient_id = ?", (self.patient,))
        done = self.sync()
        self.assertGreater(done["waiting"], 1, "the visits belong to the patient's record")
        self.assertEqual(done["applied"], 0)
        queue = self.office.run("--json", "sync", "queue").check().json()["queues"]
        self.assertEqual([(one["name"], one["waiting"]) for one in queue], [("Tablet Süd", done["waiting"])])
        waiting = self.office.run("--json", "sync", "queue", "all").check().json()["changes"]
        self.assertEqual({one["waits_for"] for one in waiting}, {"held"})
        self.assertIn("record held", self.office.run("sync", "queue", "all").check().output)
        watching = self.office.workstation("Zimmer 2", watch={"types": ["patient"]}).keep_alive()
        self.addCleanup(watching.close)
        self.assertTrue(station.ask("unlock", keys=[f"patient/{self.patient}"])["ok"])
        wait_for(lambda: self.family() == "Groß", "the change to be written without the device")
        change = watching.event("changes", lambda event: f"patient/{self.patient}" in str(event))
        self.assertIn("Tablet Süd", str(change), "who changed it is told")
        self.assertEqual(self.sync()["waiting"], 0)
        wait_for(lambda: "Tablet Süd" in self.office.run("history", f"patient/{self.patient}").check().output, "the history to name the device")

    def test_what_the_holder_has_changed_decides_by_version_and_a_person_may_decide_otherwise(self):
        station = self.held()
        self.app.execute("UPDATE patient SET family_name = 'Vom Tablet' WHERE id = ?", (self.patient,))
        self.assertEqual(self.sync()["waiting"], 1)
        self.office.psql(f"UPDATE patient SET given_name = 'Am Empfang' WHERE id = '{self.patient}'")
        self.assertTrue(station.ask("unlock", keys=[f"patient/{self.patient}"])["ok"])
        listed = wait_for(lambda: self.office.run("--json", "sync", "reject", "list").check().json()["rejects"], "the reject")
        self.assertEqual([(one["key"], one["reason"], one["user"]) for one in listed], [(self.patient, "version", "anna")])
        shown = self.office.run("sync", "reject", "show", listed[0]["reject"]).check().output
        self.assertIn("Vom Tablet", shown)
        self.assertIn("Am Empfang", shown)
        self.assertEqual(self.sync()["rejected"], 1)
        self.assertEqual(self.app.execute("SELECT given_name FROM patient WHERE id = ?", (self.patient,)).fetchone(), ("Am Empfang",))
        self.office.run("sync", "reject", "retry", listed[0]["reject"]).check()
        wait_for(lambda: self.family() == "Vom Tablet", "the change to be tried again")
        self.sync()
        self.assertEqual(self.app.execute("SELECT family_name, given_name FROM patient WHERE id = ?", (self.patient,)).fetchone(), ("Vom Tablet", "Am Empfang"))
        again = self.office.run("sync", "reject", "retry", listed[0]["reject"])
        self.assertNotEqual(again.code, 0)

    def test_where_the_guard_refuses_writes_without_a_token_a_device_shows_its_own(self):
        self.office.run("guard", "enable", "patient", "--enforce").check()
        with self.assertRaisesRegex(AssertionError, "VG001|lock"):
            self.office.psql(f"UPDATE patient SET family_name = 'Ohne' WHERE id = '{self.patient}'")
        self.app.execute("UPDATE patient SET family_name = 'Bewacht' WHERE id = ?", (self.patient,))
        self.app.execute("UPDATE encounter SET status = 'cancelled' WHERE patient_id = ?", (self.patient,))
        done = self.sync()
        self.assertEqual((done["waiting"], done["rejected"]), (0, 0), done)
        self.assertEqual(self.family(), "Bewacht")
        station = self.held()
        self.app.execute("UPDATE patient SET family_name = 'Später' WHERE id = ?", (self.patient,))
        self.assertEqual(self.sync()["waiting"], 1)
        station.ask("unlock", keys=[f"patient/{self.patient}"])
        wait_for(lambda: self.family() == "Später", "the change after the lock")


if __name__ == "__main__":
    unittest.main()
