"""The guard: the source database itself refuses writes without the token of the record's work lock."""
import os
import signal
import subprocess
import tempfile
import time
import unittest

from office import Office, Workstation, wait_for


class Application:
    """A program with one connection to the practice's database, as it may lie in a pool."""

    def __init__(self, office, name="praxisprogramm"):
        password = (office.data / "secrets" / "praxis").read_text().strip()
        self.passfile = tempfile.NamedTemporaryFile("w", dir=office.directory)
        os.chmod(self.passfile.name, 0o600)
        self.passfile.write(f"*:*:*:*:{password}\n")
        self.passfile.flush()
        self.process = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", "-h", str(office.data / "postgres" / "run"), "-U", "praxis", "-d", "praxis"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PGPASSFILE": self.passfile.name, "PGAPPNAME": name})

    def run(self, sql):
        """What psql printed."""
        self.process.stdin.write(f"{sql};\n\\echo done\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "done\n":
                return "".join(lines)
            lines.append(line)
        return "".join(lines)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(20)
        self.passfile.close()


class Guard(unittest.TestCase):
    def setUp(self):
        self.office = Office(demo="synthetic").start()
        self.opened = []
        self.patient = self.office.a_patient()
        self.key = f"patient/{self.patient}"

    def tearDown(self):
        for application in self.opened:
            application.close()
        self.office.close()

    def application(self, name="praxisprogramm"):
        self.opened.append(Application(self.office, name))
        return self.opened[-1]

    def guard(self, mode="--enforce"):
        self.office.run("guard", "enable", "patient", mode).check()

    def update(self, name):
        return f"UPDATE patient SET given_name = '{name}' WHERE id = '{self.patient}'"

    def under(self, token, name):
        return f"BEGIN; SELECT verbund.use_lock({token}); {self.update(name)}; COMMIT"

    def given_name(self):
        return self.office.psql(f"SELECT given_name FROM patient WHERE id = '{self.patient}'")

    def state(self):
        return self.office.run("--json", "guard", "status").check().json()["types"]

    def audit(self, action):
        return self.office.run("--json", "audit", "--action", action).check().json()["entries"]

    def test_warn_mode_counts_and_enforce_refuses(self):
        self.guard("--warn")
        application = self.application()
        self.assertNotIn("ERROR", application.run(self.update("gewarnt")))
        met = self.office.run("--json", "guard", "report").check().json()["warnings"]
        self.assertEqual([(w["table"], w["operation"], w["application"], w["user"], w["transactions"]) for w in met],
                         [("public.patient", "UPDATE", "praxisprogramm", "praxis", 1)])
        self.guard("--enforce")
        self.assertIn("shows no token", application.run(self.update("verweigert")))
        station = self.office.workstation("Empfang 1").keep_alive()
        token = station.ask("lock", keys=[self.key])["token"]
        self.assertNotIn("ERROR", application.run(self.under(token, "erlaubt")))
        # The connection goes back into a pool: the next one to use it shows nothing.
        self.assertIn("shows no token", application.run(self.update("geerbt")))
        self.assertTrue(station.ask("unlock", keys=[self.key])["ok"])
        wait_for(lambda: self.state()[0]["locks"] == 0, "the token leaves the table")
        self.assertIn("nobody holds its work lock", application.run("ROLLBACK;" + self.under(token, "spät")))
        application.run("ROLLBACK")
        self.assertEqual(self.given_name(), "erlaubt")
        self.assertEqual([(t["type"], t["mode"], t["missing"]) for t in self.state()], [("patient", "enforce", [])])
        self.office.run("guard", "disable", "patient").check()
        self.assertNotIn("ERROR", application.run(self.update("frei")))
        self.assertEqual(self.office.psql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'verbund%'"), "0")
        self.assertEqual([e["action"] for e in reversed(self.audit("guard."))], ["guard.enable", "guard.enable", "guard.disable"])

    def test_locks_that_are_held_when_the_guard_begins_are_good(self):
        station = self.office.workstation("Empfang 1").keep_alive()
        token = station.ask("lock", keys=[self.key])["token"]
        self.guard()
        self.assertNotIn("ERROR", self.application().run(self.under(token, "gehalten")))

    def test_a_commands_writes_go_under_its_lock(self):
        self.guard()
        password = (self.office.data / "secrets" / "praxis").read_text().strip()
        passfile = self.office.directory / "pass"
        passfile.write_text(f"*:*:*:*:{password}\n")
        passfile.chmod(0o600)
        done = self.office.run("lock", self.key, "--", "sh", "-c",
                               f'PGOPTIONS="-c verbund.token=$VERBUND_LOCK_TOKEN" exec psql -X -q -v ON_ERROR_STOP=1'
                               f' -h {self.office.data}/postgres/run -U praxis -d praxis -c "{self.update("befehl")}"',
                               PGPASSFILE=str(passfile))
        self.assertEqual(done.code, 0, done.errors)
        self.assertEqual(self.given_name(), "befehl")

    def test_a_holder_stopped_past_its_lease_writes_no_more(self):
        self.guard()
        holder = self.office.command("--json", "lock", self.key)
        token = holder.line(lambda line: "granted" in line).split(":")[-1].strip('"}')
        application = self.application()
        self.assertNotIn("ERROR", application.run(self.under(token, "davor")))
        holder.send_signal(signal.SIGSTOP)
        other = self.office.workstation("Labor").keep_alive()
        reply = other.ask("lock", keys=[self.key], wait_ms=30000)
        self.assertTrue(reply["ok"], reply)
        self.assertGreater(int(reply["token"]), int(token))
        self.assertIn("no token of the present work lock", application.run(self.under(token, "danach")))
        application.run("ROLLBACK")
        self.assertNotIn("ERROR", application.run(self.under(reply["token"], "neu")))
        holder.send_signal(signal.SIGCONT)
        holder.line(lambda line: "lost" in line, errors=True)
        self.assertIn("no token of the present work lock", application.run(self.under(token, "aufgewacht")))
        application.run("ROLLBACK")
        self.assertEqual(self.given_name(), "neu")

    def test_an_open_transaction_keeps_a_record_from_nobody_for_longer_than_five_seconds(self):
        self.guard()
        first = self.office.workstation("Empfang 1").keep_alive()
        token = first.ask("lock", keys=[self.key])["token"]
        application = self.application("wartend")
        application.run(f"BEGIN; SELECT verbund.use_lock({token}); {self.update('offen')}")
        self.assertTrue(first.ask("unlock", keys=[self.key])["ok"])
        other = self.office.workstation("Labor").keep_alive()
        second_key = f"patient/{self.office.a_patient(1)}"
        begun = time.monotonic()
        waiting = other.send("lock", keys=[self.key])
        self.assertTrue(other.ask("lock", keys=[second_key])["ok"], "other records don't wait")
        self.assertLess(time.monotonic() - begun, 4)
        reply = other.reply(waiting)
        took = time.monotonic() - begun
        self.assertTrue(reply["ok"], reply)
        self.assertGreater(took, 4.5)
        self.assertLess(took, 12)
        self.assertNotIn("done", application.run("COMMIT"), "its connection was ended")
        self.assertNotEqual(self.given_name(), "offen")
        ended = wait_for(lambda: self.audit("guard.terminate"), "the audit entry")
        self.assertEqual([(e["actor"], e["object"]) for e in ended], [("node", self.key)])
        self.assertIn("wartend", ended[0]["detail"])

    def test_after_a_restart_reclaimed_locks_write_on_and_others_are_over(self):
        self.guard()
        second_patient = self.office.a_patient(1)
        staying = self.office.workstation("Sprechzimmer 1")
        leaving = self.office.workstation("Labor")
        token = staying.ask("lock", keys=[self.key])["token"]
        leaving.ask("lock", keys=[f"patient/{second_patient}"])
        self.office.kill()
        self.office.start()
        resumed = Workstation(self.office.port)
        reply = resumed.ask("resume", session=staying.welcome["session"], secret=staying.welcome["secret"],
                            reclaim=[{"key": self.key, "token": token}])
        self.assertEqual([(h["key"], h["token"]) for h in reply["welcome"]["held"]], [(self.key, token)])
        resumed.keep_alive()
        self.assertNotIn("ERROR", self.application().run(self.under(token, "danach")))
        wait_for(lambda: self.state()[0]["locks"] == 1, "who has not come back is cleared")

    def test_history_knows_who_wrote_under_a_lock_while_no_node_ran(self):
        self.guard()
        station = self.office.workstation("Sprechzimmer 1")
        token = station.ask("lock", keys=[self.key])["token"]
        self.office.kill()
        self.assertNotIn("ERROR", self.application().run(self.under(token, "allein")))
        self.office.start()
        self.assertEqual(wait_for(lambda: self.office.psql(
            "SELECT how, workstation, after->>'given_name' FROM history.readable"
            f" WHERE record = '{self.key}' AND after->>'given_name' = 'allein'", database="SIQVersions"), "the version"), "lock|Sprechzimmer 1|allein")

    def test_the_guard_can_be_disabled_while_the_node_is_down(self):
        self.guard()
        self.office.kill()
        application = self.application()
        self.assertIn("shows no token", application.run(self.update("verweigert")))
        self.office.run("guard", "disable", "patient").check()
        self.assertNotIn("ERROR", application.run(self.update("frei")))
        self.office.start()
        self.assertEqual(self.state(), [])

    def test_an_import_takes_the_locks_of_what_it_writes_and_leaves_the_rest_to_their_holders(self):
        self.guard()
        free = self.office.a_patient(1)
        station = self.office.workstation("Empfang 1").keep_alive()
        self.assertTrue(station.ask("lock", keys=[self.key])["ok"])
        folder = self.office.directory
        (folder / "m.toml").write_text('[target]\ntable = "patient"\nmatch = ["id"]\n[[column]]\nfield = "id"\nfrom = "id"\n'
                                       '[[column]]\nfield = "given_name"\nfrom = "vorname"\n')
        (folder / "p.csv").write_text(f"id;vorname\n{self.patient};Gehalten\n{free};Frei\n")
        words = ("import", str(folder / "p.csv"), "--mapping", str(folder / "m.toml"))
        done = self.office.run(*words)
        self.assertEqual(done.code, 10, done.output + done.errors)
        self.assertIn("Empfang 1", done.output)
        self.assertEqual(self.office.psql(f"SELECT given_name FROM patient WHERE id = '{free}'"), "Frei")
        self.assertNotEqual(self.given_name(), "Gehalten")
        # Everybody has seen who had the record.
        granted = station.event("lock.granted", lambda e: any(lock["key"] == f"patient/{free}" for lock in e["locks"]))
        self.assertEqual([lock["workstation"] for lock in granted["locks"]], ["import"])
        self.assertTrue(station.ask("unlock", keys=[self.key])["ok"])
        wait_for(lambda: self.state()[0]["locks"] == 0, "all tokens have left the table")
        self.office.run(*words).check()
        self.assertEqual(self.given_name(), "Gehalten")
        (folder / "neu.json").write_text('{"resourceType":"Patient","id":"neu","name":[{"family":"Neu","given":["Nora"]}]}')
        self.office.run("import", str(folder / "neu.json")).check()
        self.assertEqual(self.office.psql("SELECT count(*) FROM patient WHERE family_name = 'Neu'"), "1")
        self.office.kill()  # who has no node gives no locks
        (folder / "neu.json").write_text('{"resourceType":"Patient","id":"neu","name":[{"family":"Neu","given":["Nina"]}]}')
        refused = self.office.run("import", str(folder / "neu.json"))
        self.assertEqual(refused.code, 3, refused.output + refused.errors)
        self.assertEqual(self.office.psql("SELECT given_name FROM patient WHERE family_name = 'Neu'"), "Nora")


if __name__ == "__main__":
    unittest.main()
