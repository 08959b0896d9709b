"""Device sync, the administrator's side: rules from a file, devices by invitation."""
import json
import unittest

from office import Office

RULES = """[[subscription]]
name = "patients"
table = "patient"
columns = ["id", "family_name", "given_name", "city", "active"]
filter = "city = :city AND active = true"
rights = ["read", "insert", "update"]

[[subscription]]
name = "encounters"
direction = "down"
table = "public.encounter"

[[set]]
name = "rounds"
subscriptions = ["patients", "encounters"]

[[group]]
name = "nurses"
sets = ["rounds"]
parameters = { city = "Kiel" }

[[user]]
name = "anna"
group = "nurses"

[[user]]
name = "berta"
group = "nurses"
parameters = { city = "Bonn" }
"""


class SyncRules(unittest.TestCase):
    def setUp(self):
        self.office = Office(demo=None).start()
        # The practice's own tables, as its program would make them.
        self.office.psql("CREATE TABLE patient (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), family_name text NOT NULL DEFAULT '', given_name text NOT NULL DEFAULT '',"
                         " city text, active boolean NOT NULL DEFAULT true);"
                         "CREATE TABLE encounter (id uuid PRIMARY KEY, patient_id uuid NOT NULL REFERENCES patient)")

    def tearDown(self):
        self.office.close()

    def apply(self, text, *words, name="rules.toml", **environment):
        path = self.office.directory / name
        path.write_text(text, encoding="utf-8")
        return self.office.run(*words, "sync", "apply", str(path), **environment)

    def changes(self, text, *words):
        path = self.office.directory / "rules.toml"
        path.write_text(text, encoding="utf-8")
        return self.office.run("--json", "sync", "apply", str(path), *words).check().json()["changes"]

    def sql(self, statement):
        return self.office.psql(statement, database="verbund_mid")

    def test_applies_a_file_once_and_shows_what_changes(self):
        self.assertEqual(len(self.changes(RULES, "--dry-run")), 6)
        self.assertEqual(self.office.run("--json", "sync", "subscription", "list").check().json()["subscriptions"], [])
        self.assertEqual(len(self.changes(RULES)), 6)
        self.assertEqual(self.changes(RULES), [])
        other = RULES.replace('city = "Bonn"', 'city = "Ulm"').replace('name = "anna"', 'name = "carla"')
        found = {(one["what"], one["kind"], one["name"]): one["fields"] for one in self.changes(other)}
        self.assertEqual(found, {("changed", "user", "berta"): ['parameters.city: "Bonn" → "Ulm"'], ("added", "user", "carla"): [], ("removed", "user", "anna"): []})
        self.assertEqual([one["name"] for one in self.office.run("--json", "sync", "user", "list").check().json()["users"]], ["berta", "carla"])
        self.assertIn("nurses", self.office.run("sync", "group", "list").check().output)
        self.assertIn("patients, encounters", self.office.run("sync", "set", "list").check().output)

    def test_what_is_exported_can_be_applied_and_changes_nothing(self):
        self.changes(RULES)
        exported = self.office.run("sync", "export").check().output
        self.assertIn("active = 't'", exported)
        self.assertEqual(self.changes(exported), [])
        self.assertEqual(self.office.run("sync", "export").check().output, exported)

    def test_refuses_what_it_does_not_understand_with_its_place(self):
        refused = self.apply(RULES.replace("city = :city AND", "city = :city OR"))
        self.assertNotEqual(refused.code, 0)
        self.assertIn("rules.toml:5: filter: position 14: 'OR' instead of AND or the end", refused.errors)
        self.assertIn("Allowed are comparisons", refused.errors)
        unknown = self.apply(RULES.replace("rights =", "right ="))
        self.assertIn("rules.toml:6: subscription.0.right", unknown.errors)
        self.assertIn("Allowed in [[subscription]]", unknown.errors)
        self.assertIn("no column town", self.apply(RULES.replace('"city", "active"', '"town", "active"')).errors)
        self.assertIn("no set 'nights'", self.apply(RULES.replace('sets = ["rounds"]', 'sets = ["nights"]')).errors)
        german = self.apply(RULES.replace("city = :city AND", "city = :city OR"), LC_ALL="de_DE.UTF-8", LANG="de_DE.UTF-8")
        self.assertIn("Erlaubt sind mit AND verbundene Vergleiche", german.errors)
        self.assertEqual(self.office.run("--json", "sync", "subscription", "list").check().json()["subscriptions"], [])

    def test_invites_lists_refuses_and_resets_devices(self):
        self.changes(RULES)
        invited = self.office.run("--json", "sync", "device", "invite", "--user", "anna", "--name", "tablet 7").check().json()
        self.assertEqual(len(invited["code"].replace("-", "")), 77)
        self.assertNotIn(invited["code"], self.sql("SELECT string_agg(e::text, ' ') FROM sync.enrolment e"))
        self.assertNotEqual(self.office.run("sync", "device", "invite", "--user", "nobody").code, 0)
        # A device that has enrolled; how it does is the device's own test.
        self.sql("INSERT INTO sync.device (name, user_name, secret_hash, enrolled) VALUES ('tablet 7', 'anna', 'x', now())")
        listed = self.office.run("--json", "sync", "device", "list").check().json()["devices"]
        self.assertEqual([(one["name"], one["user"], one["state"]) for one in listed], [("tablet 7", "anna", "active")])
        number = listed[0]["device"]
        self.office.run("sync", "device", "disable", number).check()
        self.office.run("sync", "device", "enable", number).check()
        self.assertEqual(self.office.run("--json", "sync", "device", "reset", "--user", "anna").check().json(), {"devices": 1})
        self.assertEqual(self.office.run("--json", "sync", "device", "reset", "--group", "nurses").check().json(), {"devices": 1})
        self.assertEqual(self.sql("SELECT generation FROM sync.device"), "3")
        self.assertEqual(self.office.run("sync", "device", "reset").code, 2)
        self.office.run("sync", "device", "revoke", number).check()
        self.assertEqual(self.office.run("sync", "device", "enable", number).code, 4)
        self.assertIn("revoked", self.office.run("sync", "device", "list").check().output)
        audit = self.sql("SELECT string_agg(action, ' ' ORDER BY number) FROM access.audit WHERE action LIKE 'sync.%'").split()
        self.assertEqual(audit[:2], ["sync.apply", "sync.device.invite"])
        self.assertIn("sync.device.revoked", audit)


if __name__ == "__main__":
    unittest.main()
