"""verbund feed status, tables, continue, reconcile against a running node."""
import unittest

from office import Office, wait_for


class FeedCommands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()
        cls.office.psql("CREATE TABLE notiz (patient_id uuid REFERENCES patient, text text)")

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def as_staff(self, *words):
        password = self.office.directory / "password"
        password.write_text("einfach-und-lang\n")
        self.office.run("--password-file", str(password), "user", "add", "anna", "--role", "staff")
        token = self.office.run("user", "token", "anna").check().output.strip()
        settings = self.office.directory / "staff.toml"
        settings.write_text((self.office.data / "client.toml").read_text().replace(self.office.token, token)
                            .replace('ca = "tls/ca.crt"', f'ca = "{self.office.data}/tls/ca.crt"'))
        settings.chmod(0o600)
        return self.office.run("--config", str(settings), *words)

    def test_status_is_the_feed_s_own(self):
        status = self.office.run("--json", "feed", "status").check().json()
        self.assertEqual(status["state"], "running")
        said = self.office.run("feed", "status", LC_ALL="de_DE.UTF-8").check().output
        self.assertIn("Stelle im Log", said)

    def test_tables_have_state_reason_and_record_types(self):
        tables = {(t["schema"], t["table"]): t for t in self.office.run("--json", "feed", "tables").check().json()["tables"]}
        self.assertEqual(tables["public", "observation"]["state"], "captured")
        self.assertEqual(tables["public", "observation"]["record_types"], ["patient"])
        said = self.office.run("feed", "tables", LC_ALL="de_DE.UTF-8").check().output
        self.assertIn("erfasst", said)
        self.assertEqual(self.as_staff("feed", "tables").code, 0, "whoever may read records may know it")

    def test_a_dropped_key_never_fails_the_application_on_the_owned_server(self):
        def state():
            return {t["table"]: t["state"] for t in self.office.run("--json", "feed", "tables").check().json()["tables"]}["observation"]

        key = self.office.psql("SELECT conname || '|' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'observation'::regclass AND contype = 'p'")
        name, definition = key.split("|")
        self.office.psql(f"ALTER TABLE observation DROP CONSTRAINT {name} CASCADE; UPDATE observation SET patient_id = patient_id")
        wait_for(lambda: state() == "paused", "the table rests")
        self.office.psql(f"ALTER TABLE observation ADD CONSTRAINT {name} {definition}")
        wait_for(lambda: state() == "captured", "the table is taken in again")

    def test_a_reconcile_finds_what_the_shadow_lost_and_is_audited(self):
        patient = self.office.a_patient()
        shadow = self.office.psql("SELECT shadow FROM feed.source_table WHERE table_name = 'patient'", "verbund_mid")
        station = self.office.workstation("Labor").keep_alive()
        self.office.psql(f"DELETE FROM feed.{shadow} WHERE verbund_key = '{patient}'", "verbund_mid")
        report = self.office.run("--json", "feed", "reconcile").check().json()
        self.assertEqual((report["inserted"], report["updated"], report["deleted"]), ("1", "0", "0"))
        self.assertGreater(int(report["rows_compared"]), 1000)
        station.event("changes", lambda event: any(c["key"] == f"patient/{patient}" for c in event["changes"]))
        self.assertEqual(self.office.run("--json", "feed", "reconcile").check().json()["inserted"], "0")
        self.assertEqual(self.office.run("--json", "feed", "continue", "encounter").check().json(), {"rows": "0"})
        entries = self.office.run("--json", "audit", "--action", "feed.").check().json()["entries"]
        self.assertEqual([(e["action"], e["object"]) for e in entries[:3]],
                         [("feed.continue", "public.encounter"), ("feed.reconcile", ""), ("feed.reconcile", "")])
        self.assertEqual(self.office.psql(f"SELECT count(*) FROM feed.{shadow} WHERE verbund_key = '{patient}'", "verbund_mid"), "1")

    def test_only_administrators_reconcile(self):
        self.assertEqual(self.as_staff("feed", "reconcile").code, 4)
        self.assertEqual(self.as_staff("feed", "continue", "patient").code, 4)

    def test_a_wrong_table_is_named(self):
        outcome = self.office.run("feed", "continue", "labor.keine")
        self.assertEqual(outcome.code, 4)
        self.assertIn("labor.keine", outcome.errors)
        self.assertEqual(self.office.run("feed", "continue", "a.b.c").code, 2)

    def test_a_changed_column_pauses_or_is_followed_and_can_be_continued(self):
        self.office.psql("ALTER TABLE medication ADD COLUMN menge int DEFAULT 1")
        medication = self.office.psql("SELECT id FROM medication LIMIT 1")
        station = self.office.workstation("Labor").keep_alive()
        self.office.psql(f"UPDATE medication SET menge = 2 WHERE id = '{medication}'" if medication else
                         f"INSERT INTO medication (patient_id, kind, display) VALUES ('{self.office.a_patient()}', 'request', 'x')")
        self.office.run("feed", "continue", "medication").check()
        state = wait_for(lambda: next((t["state"] for t in self.office.run("--json", "feed", "tables").check().json()["tables"]
                                       if t["table"] == "medication"), None), "the table is known")
        self.assertEqual(state, "captured")
        station.close()


class FeedAlarm(unittest.TestCase):
    """The log that the server keeps for the slot is told to everybody before it fills the disk."""

    def setUp(self):
        self.office = Office().init()
        self.addCleanup(self.office.close)
        settings = self.office.data / "config" / "verbund.toml"
        text = settings.read_text(encoding="utf-8")
        self.assertIn("# lag_warn_mb = 1024", text)
        settings.write_text(text.replace("# lag_warn_mb = 1024", "lag_warn_mb = 1   #"), encoding="utf-8")
        self.office.start()

    def test_is_told_to_all_also_to_who_comes_later_in_both_languages_and_taken_back(self):
        station = self.office.workstation("Labor").keep_alive()
        # As an application that forgot to commit: the slot can't let go of what came since.
        sleeper = self.office.open_psql()
        patient = self.office.a_patient()
        sleeper.stdin.write(f"BEGIN; UPDATE patient SET city = city WHERE id = '{patient}';\n")
        sleeper.stdin.flush()
        wait_for(lambda: self.office.psql("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND usename = 'praxis'") == "1", "it waits")
        self.office.psql("SELECT count(pg_logical_emit_message(false, 'noise', repeat('x', 100000))) FROM generate_series(1, 40)")
        told = station.event("feed", lambda e: e.get("alarm"))
        self.assertRegex(told["alarm"], r"^the server keeps \d+ MB of WAL for the slot$")
        self.assertRegex(told["alarm_de"], r"^der Server hält \d+ MB WAL für den Slot zurück$")
        self.assertEqual(told["state"], "running", "capture itself goes on")
        late = self.office.workstation("Empfang 1").keep_alive()
        self.assertIn("alarm", late.event("feed"))
        german = self.office.run("status", LC_ALL="de_DE.UTF-8").check().output
        self.assertRegex(german, r"Alarm +der Server hält \d+ MB WAL für den Slot zurück")
        self.assertIn("the server keeps", self.office.run("--json", "feed", "status", LC_ALL="de_DE.UTF-8").check().json()["alarm"])
        begun = len(station.events)
        sleeper.stdin.write("COMMIT;\n")
        sleeper.stdin.close()
        sleeper.wait(30)

        def over():  # PostgreSQL lets the slot's start go on from one of its own snapshots to the next, and makes them while there are writes
            self.office.psql(f"UPDATE patient SET city = city WHERE id = '{patient}'")
            return [event for event in station.events[begun:] if event["event"] == "feed"]

        self.assertNotIn("alarm", wait_for(over, "the alarm is over", patience=120)[-1])
        quiet = self.office.workstation("Büro")
        quiet.ask("who")
        self.assertNotIn("feed", [event["event"] for event in quiet.events], "whoever comes when all is well hears nothing")


if __name__ == "__main__":
    unittest.main()
