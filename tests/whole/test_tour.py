"""The tour of the README: watch, lock, psql, torn connections, restarts. Requirements S1-S3, S7, S8, B1."""
import json
import signal
import unittest

from office import Office, wait_for


class Tour(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def test_first_start_leaves_what_a_practice_needs(self):
        data = self.office.data
        for name in ("client.toml", "administrator.txt", "secrets/verbund", "tls/ca.key", "tls/server.key"):
            self.assertEqual((data / name).stat().st_mode & 0o077, 0, name)
        for name in ("config/verbund.toml", "config/P2P.properties", "tls/ca.crt"):
            self.assertTrue((data / name).exists(), name)
        self.assertEqual(self.office.psql("SHOW data_checksums"), "on")
        self.assertEqual(self.office.psql("SHOW wal_level"), "logical")
        self.assertEqual(self.office.psql("SHOW password_encryption"), "scram-sha-256")
        self.assertEqual(self.office.psql("SELECT count(*) FROM pg_database WHERE datname IN ('praxis','verbund_mid','SIQVersions')"), "3")

    def test_a_change_by_psql_reaches_all_workstations(self):
        patient = self.office.a_patient()
        watcher = self.office.command("--json", "watch")
        watcher.line(lambda line: "connected" in line, errors=True)
        station = self.office.workstation("Empfang 1")
        self.office.psql(f"UPDATE patient SET family_name = 'Größmann' WHERE id = '{patient}'")
        for event in (json.loads(watcher.line(lambda l: '"changes"' in l)), station.event("changes")):
            self.assertEqual(event["changes"], [{"key": f"patient/{patient}", "op": "update", "tables": ["patient"]}])
        watcher.end()
        station.close()

    def test_a_child_row_names_its_record(self):
        patient = self.office.a_patient()
        station = self.office.workstation("Empfang 1")
        self.office.psql(f"DELETE FROM observation WHERE patient_id = '{patient}'")
        event = station.event("changes", lambda e: e.get("changes"))
        self.assertEqual([(c["key"], c["op"], c["tables"]) for c in event["changes"]], [(f"patient/{patient}", "update", ["observation"])])
        station.close()

    def test_a_deleted_record_leaves_and_takes_its_children_along(self):
        patient = self.office.a_patient(offset=50)
        station = self.office.workstation("Empfang 1")
        self.office.psql(f"DELETE FROM patient WHERE id = '{patient}'")
        event = station.event("changes")
        self.assertEqual([(c["key"], c["op"]) for c in event["changes"]], [(f"patient/{patient}", "delete")])
        station.close()

    def test_the_second_is_told_who_holds_the_record(self):
        key = f"patient/{self.office.a_patient()}"
        first = self.office.command("--workstation", "Empfang 1", "lock", key)
        first.line(lambda line: "locked" in line)
        second = self.office.run("--workstation", "Sprechzimmer 2", "lock", key)
        self.assertEqual(second.code, 4)
        self.assertIn("Empfang 1", second.errors)
        self.assertIn("admin", second.errors)
        listed = self.office.run("--json", "locks").check().json()
        self.assertEqual([(l["key"], l["workstation"], l["user"]) for l in listed if l["key"] == key],
                         [(key, "Empfang 1", "admin")])
        self.assertEqual(first.end(signal.SIGINT), 0)
        self.office.run("--workstation", "Sprechzimmer 2", "lock", key, "--", "true").check()

    def test_waiting_in_line_ends_when_the_record_is_free(self):
        key = f"patient/{self.office.a_patient(1)}"
        first = self.office.command("--workstation", "Empfang 1", "lock", key)
        first.line(lambda line: "locked" in line)
        second = self.office.command("--workstation", "Labor", "lock", key, "--wait", "60")
        wait_for(lambda: any(l["waiting"] == 1 for l in self.office.run("--json", "locks").json()), "one waits")
        first.end(signal.SIGINT)
        second.line(lambda line: "locked" in line)
        second.end(signal.SIGINT)

    def test_kill_of_a_client_is_told_and_frees_its_lock_after_the_window(self):
        key = f"patient/{self.office.a_patient(2)}"
        observer = self.office.workstation("Empfang 1").keep_alive()
        victim = self.office.command("--workstation", "Labor", "lock", key)
        victim.line(lambda line: "locked" in line)
        observer.event("lock.granted", lambda e: e["locks"][0]["key"] == key)
        refused = observer.ask("lock", keys=[key])
        self.assertEqual(refused["error"]["code"], "held")
        self.assertEqual(refused["error"]["holder"]["workstation"], "Labor")
        victim.process.kill()
        left = observer.event("session.left", lambda e: e["workstation"] == "Labor")
        self.assertEqual(left["reason"], "lost")
        observer.event("lock.released", lambda e: key in e["keys"])
        self.assertTrue(observer.ask("lock", keys=[key])["ok"])
        observer.close()

    def test_messages_reach_one_and_all(self):
        one = self.office.workstation("Empfang 1")
        two = self.office.workstation("Labor")
        self.assertEqual(self.office.run("--json", "tell", "Labor", "Blutprobe ist da").check().json()["delivered"], 1)
        self.assertEqual(two.event("message")["text"], "Blutprobe ist da")
        self.office.run("tell", "*", "Schöne Grüße").check()
        self.assertEqual(one.event("message")["text"], "Schöne Grüße")
        self.assertEqual(two.event("message", lambda e: e["to"] == "*")["text"], "Schöne Grüße")
        one.close()
        two.close()

    def test_an_announced_change_outside_the_database_goes_through_the_log(self):
        one = self.office.workstation("Empfang 1")
        two = self.office.workstation("Labor")
        self.assertTrue(one.ask("changed", changes=[{"key": "letter/99", "op": "insert"}])["ok"])
        for station in (one, two):
            event = station.event("changes", lambda e: e.get("changes") and e["changes"][0]["key"] == "letter/99")
            self.assertEqual(event["by"]["workstation"], "Empfang 1")
            station.close()

    def test_a_change_is_attributed_to_the_holder_of_the_lock(self):
        patient = self.office.a_patient(3)
        station = self.office.workstation("Sprechzimmer 1")
        self.assertTrue(station.ask("lock", keys=[f"patient/{patient}"])["ok"])
        self.office.psql(f"UPDATE patient SET given_name = 'Änne' WHERE id = '{patient}'")
        event = station.event("changes")
        self.assertEqual((event["by"]["how"], event["by"]["workstation"]), ("lock", "Sprechzimmer 1"))
        station.close()

    def test_release_is_announced_after_its_changes(self):
        patient = self.office.a_patient(4)
        key = f"patient/{patient}"
        writer = self.office.workstation("Sprechzimmer 1")
        watcher = self.office.workstation("Empfang 1")
        for round_number in range(20):
            seen = len(watcher.events)
            self.assertTrue(writer.ask("lock", keys=[key])["ok"])
            self.office.psql(f"UPDATE patient SET given_name = 'Runde {round_number}' WHERE id = '{patient}'")
            self.assertTrue(writer.ask("unlock", keys=[key], wrote=True)["ok"])
            # Locks that earlier tests left behind expire meanwhile: only this record's events count.
            released = watcher.event("lock.released", lambda e: key in e["keys"], after=seen)
            self.assertNotIn("changes_pending", released)
            order = [e["event"] for e in watcher.events[seen:] if e["event"] == "changes" or key in e.get("keys", [])]
            self.assertEqual(order, ["changes", "lock.released"], round_number)
        writer.close()
        watcher.close()

    def test_resume_from_a_cursor_has_no_gap_and_no_repetition(self):
        patient = self.office.a_patient(5)
        first = self.office.workstation("Empfang 1")
        cursor = first.welcome["cursor"]
        first.ask("goodbye")
        for number in range(30):
            self.office.psql(f"UPDATE patient SET given_name = 'Nummer {number}' WHERE id = '{patient}'")
        again = self.office.workstation("Empfang 1", cursor=cursor)
        self.office.psql(f"UPDATE patient SET given_name = 'Ende' WHERE id = '{patient}'")
        head = lambda: [int(e["csn"]) for e in again.events if e["event"] == "changes"]
        csns = wait_for(lambda: head() if head() and head()[-1] >= int(cursor["csn"]) + 31 else None, "all changes")
        self.assertEqual(csns, sorted(set(csns)))
        again.close()

    def test_a_cursor_of_another_history_gets_a_snapshot(self):
        station = self.office.workstation("Empfang 1", cursor={"history": "0" * 32, "csn": "1"})
        self.assertEqual(station.event("snapshot")["reason"], "history_changed")
        station.close()

    def test_status_and_who(self):
        station = self.office.workstation("Empfang 1")
        status = self.office.run("--json", "status").check().json()
        self.assertEqual(status["feed"]["state"], "running")
        self.assertEqual(status["database"]["state"], "up")
        # The command that asks is a tool.
        cluster = status["cluster"]
        self.assertGreaterEqual(cluster["workstations"], 1)
        self.assertGreaterEqual(cluster["tools"], 1)
        self.assertEqual(cluster["sessions"], cluster["workstations"] + cluster["tools"])
        who = self.office.run("--json", "who").check().json()
        self.assertIn(("Empfang 1", "admin", "127.0.0.1"), [(s["workstation"], s["user"], s["address"]) for s in who])
        station.close()


if __name__ == "__main__":
    unittest.main()
