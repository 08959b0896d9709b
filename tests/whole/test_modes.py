"""The three modes of config/P2P.properties (S4-S6), accounts, audit, TLS, metrics."""
import json
import re
import socket
import ssl
import unittest
import urllib.request

from office import Office, Workstation, Traffic, ROOT


class Terminalservice(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office(properties={"mode": "Terminalservice", "ports.first": 29341, "ports.count": 2}).start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def join(self, name):
        first = Workstation(self.office.port)
        redirect = first.register(self.office, name)["redirect"]
        first.close()
        station = Workstation(redirect["port"])
        reply = station.ask("register", ticket=redirect["ticket"])
        self.assertTrue(reply["ok"], reply)
        station.welcome = reply["welcome"]
        return station, redirect["port"]

    def test_each_gets_a_port_of_its_own_and_the_range_bounds_them(self):
        one, first_port = self.join("Terminal 1")
        two, second_port = self.join("Terminal 2")
        self.assertEqual({first_port, second_port}, {29341, 29342})
        third = Workstation(self.office.port)
        refused = third.ask("register", token=self.office.token, workstation="Terminal 3")
        self.assertEqual(refused["error"]["code"], "ports_exhausted")
        one.ask("goodbye")
        one.wait_closed()
        three, port = self.join("Terminal 3")
        self.assertEqual(port, first_port)
        for station in (two, three):
            self.assertTrue(station.ask("goodbye")["ok"])
        third.close()

    def test_the_command_line_follows_the_redirect(self):
        self.office.run("--json", "who").check()

    def test_a_wrong_ticket_is_refused(self):
        first = Workstation(self.office.port)
        redirect = first.register(self.office, "Terminal 4")["redirect"]
        wrong = Workstation(redirect["port"])
        reply = wrong.ask("register", ticket="0" * 64)
        self.assertEqual(reply["error"]["code"], "ticket_invalid")
        # The right one still works, so that the port is free again for the next test.
        right = Workstation(redirect["port"])
        self.assertTrue(right.ask("register", ticket=redirect["ticket"])["ok"])
        right.ask("goodbye")
        for station in (first, wrong, right):
            station.close()


class ClientServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office(properties={"mode": "Client-Server"}).start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def test_one_workstation_per_address_but_tools_do_not_count(self):
        first = self.office.workstation("Empfang 1")
        second = Workstation(self.office.port)
        refused = second.ask("register", token=self.office.token, workstation="Labor")
        self.assertEqual(refused["error"]["code"], "address_taken")
        self.assertIn("Empfang 1", refused["error"]["message"])
        self.office.run("who").check()
        first.ask("goodbye")
        self.assertTrue(second.ask("register", token=self.office.token, workstation="Labor")["ok"])
        second.close()
        first.close()


class Operability(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()
        cls.context = ssl.create_default_context(cafile=str(cls.office.data / "tls" / "ca.crt"))

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def get(self, path, **headers):
        request = urllib.request.Request(f"https://localhost:{self.office.port}{path}", headers=headers)
        with urllib.request.urlopen(request, context=self.context, timeout=30) as answer:
            return answer.read().decode()

    def test_tls_by_the_own_authority_and_plaintext_on_the_same_port(self):
        self.assertEqual(json.loads(self.get("/healthz")), {"healthy": True})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.office.port}/healthz", timeout=30) as plain:
            self.assertEqual(plain.status, 200)
        raw = socket.create_connection(("127.0.0.1", self.office.port))
        with self.context.wrap_socket(raw, server_hostname="127.0.0.1") as tls:
            tls.sendall(json.dumps({"op": "register", "workstation": "TLS", "token": self.office.token}).encode() + b"\n")
            self.assertIn(b'"welcome"', tls.recv(100))

    def test_metrics_are_prometheus_text(self):
        station = self.office.workstation("Empfang 1")
        text = self.get("/metrics")
        for line in text.splitlines():
            self.assertRegex(line, r"^(#|[a-z_]+(\{[^}]*\})? [-+0-9.eInfNa]+$)")
        self.assertRegex(text, r"(?m)^verbund_cluster_sessions \d")
        station.close()

    def test_rest_needs_a_login_and_the_page_is_served(self):
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.get("/api/records/patient")
        self.assertEqual(refused.exception.code, 401)
        listed = json.loads(self.get("/api/records/patient?limit=3", Authorization=f"Bearer {self.office.token}"))
        self.assertEqual(len(listed["records"]), 3)
        key = listed["records"][0]["key"]
        whole = json.loads(self.get(f"/api/records/{key}", Authorization=f"Bearer {self.office.token}"))
        self.assertEqual(whole["tables"][0]["name"], "patient")
        self.assertIn("<div id=", self.get("/"))

    def test_users_are_managed_and_everything_is_audited(self):
        self.office.run("user", "add", "jürgen", "--role", "staff", stdin="ein langes Kennwort\n").check()
        self.office.passwords["jürgen"] = "ein langes Kennwort"
        station = Workstation(self.office.port)
        station.register(self.office, "Empfang 2", user="jürgen")
        self.assertEqual(station.welcome["role"], "staff")
        holder = self.office.workstation("Empfang 1")
        holder.ask("lock", keys=["patient/1"])
        refused = station.ask("break", keys=["patient/1"], reason="Feierabend")
        self.assertEqual(refused["error"]["code"], "forbidden")
        self.office.run("unlock", "patient/1", "--reason", "Urlaub").check()
        lost = holder.event("lock.lost")
        self.assertEqual((lost["reason"], lost["text"]), ("broken", "Urlaub"))
        self.office.run("user", "role", "jürgen", "administrator").check()
        self.office.run("user", "passwd", "jürgen", stdin="noch ein langes\n").check()
        self.office.run("user", "remove", "jürgen").check()
        self.assertNotIn("jürgen", self.office.run("user", "list").check().output)
        audit = self.office.run("--json", "audit").check().json()["entries"]
        actions = [(e["action"], e["object"]) for e in audit]
        for expected in (("user.add", "jürgen"), ("user.role", "jürgen"), ("user.passwd", "jürgen"), ("user.remove", "jürgen"), ("lock.break", "patient/1")):
            self.assertIn(expected, actions)
        self.assertNotIn("langes", json.dumps(audit))
        station.close()
        holder.close()

    def test_the_last_administrator_stays(self):
        refused = self.office.run("user", "remove", "admin")
        self.assertEqual(refused.code, 4)
        self.assertIn("administrator", refused.errors)

    def test_messages_are_german_where_the_locale_is(self):
        help_text = self.office.run("--help", LC_ALL="de_DE.UTF-8").output
        self.assertIn("Arbeitsplätze", help_text)
        errors = self.office.run("lock", "ohne-schraegstrich", LC_ALL="de_DE.UTF-8").errors
        self.assertIn("Fehler", errors)

    def test_logs_hold_no_secrets_and_no_record_contents(self):
        self.office.psql("UPDATE patient SET family_name = 'Geheimnisträger' WHERE id = (SELECT id FROM patient ORDER BY id LIMIT 1)")
        self.office.workstation("Empfang 1").close()
        log = (self.office.data / "log" / "verbund.log").read_text(encoding="utf-8")
        for secret in [self.office.token, "Geheimnisträger", *self.office.passwords.values(),
                       *((self.office.data / "secrets" / n).read_text().strip() for n in ("verbund", "verbund_node", "praxis"))]:
            self.assertNotIn(secret, log)
        for line in log.splitlines():
            json.loads(line)


class Import(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def test_an_import_is_idempotent_and_names_broken_files(self):
        folder = self.office.directory / "daten"
        folder.mkdir()
        patient = {"resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:test", "value": "4711"}],
                   "name": [{"family": "Müßig", "given": ["Jörg"]}], "birthDate": "1974-12"}
        (folder / "gut.json").write_text(json.dumps(patient), encoding="utf-8")
        (folder / "kaputt.json").write_text("{", encoding="utf-8")
        station = self.office.workstation("Empfang 1")
        first = self.office.run("import", str(folder))
        self.assertEqual(first.code, 10, first.errors)
        self.assertIn("kaputt.json", first.output)
        event = station.event("changes", lambda e: e.get("changes"))
        self.assertEqual(event["changes"][0]["op"], "insert")
        again = self.office.run("--json", "import", str(folder)).json()
        self.assertEqual(again["types"]["Patient"]["imported"], 0, again)
        self.assertEqual(self.office.psql("SELECT count(*) FROM patient WHERE family_name = 'Müßig'"), "1")
        station.close()

    def test_a_large_import_is_coalesced(self):
        station = self.office.workstation("Empfang 1").keep_alive()
        self.office.run("import", "--synthetic", "3000", "--seed", "7").check()
        event = station.event("changes", lambda e: e.get("bulk"))
        self.assertEqual(event["bulk"][0]["type"], "patient")
        self.assertFalse(event.get("changes"))
        station.close()


if __name__ == "__main__":
    unittest.main()
