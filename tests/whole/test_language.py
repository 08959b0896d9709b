"""A person is told what went wrong in the language of the session (issue "The cluster runs", point 9)."""
import fcntl
import json
import os
import pty
import socket
import struct
import subprocess
import termios
import unittest

from office import BINARY, Office, wait_for

GERMAN = {"LC_ALL": "de_DE.UTF-8"}
PASSWORD = "ein langes Kennwort"


class Language(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()
        for user in ("anna", "bert"):
            cls.office.run("user", "add", user, stdin=PASSWORD + "\n").check()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def refused(self, *words, code, stdin=None, **environment):
        done = self.office.run(*words, stdin=stdin, **(environment or GERMAN))
        self.assertEqual(done.code, code, done.output + done.errors)
        return done.errors

    def test_of_two_german_users_the_second_reads_who_holds_the_record(self):
        key = f"patient/{self.office.a_patient()}"
        holder = self.office.workstation("Labor")
        self.assertTrue(holder.ask("lock", keys=[key])["ok"])
        errors = self.refused("--user", "bert", "--workstation", "Empfang", "lock", key, stdin=PASSWORD + "\n", code=4)
        self.assertIn(f"verbund: Fehler: {key} sperren: gesperrt durch Labor (Benutzer ", errors)
        self.assertIn("Hinweis: mit --wait SEKUNDEN anstehen", errors)
        english = self.refused("--user", "bert", "lock", key, stdin=PASSWORD + "\n", code=4, LC_ALL="C.UTF-8")
        self.assertIn(f"verbund: error: lock {key}: held by Labor (user ", english)
        holder.close()

    def test_a_wrong_password_and_a_missing_right(self):
        errors = self.refused("--user", "anna", "who", stdin="falsch\n", code=4)
        self.assertIn("anmelden: Benutzer, Kennwort oder Zugriffsschlüssel ist falsch", errors)
        errors = self.refused("--user", "anna", "unlock", "patient/1", "--reason", "Test", stdin=PASSWORD + "\n", code=4)
        self.assertIn("Arbeitssperren aufheben: Benutzer anna hat das Recht nicht", errors)
        self.assertIn("Hinweis: ein Administrator kann Arbeitssperren aufheben", errors)

    def test_a_refusal_of_the_rest_interface(self):
        errors = self.refused("user", "remove", "niemand", code=4)
        self.assertIn("Benutzer entfernen: es gibt keinen Benutzer 'niemand'", errors)
        self.assertIn("Hinweis: `verbund user list` zeigt, welche es gibt.", errors)

    def test_the_request_of_a_page_names_its_language(self):
        for header, said in (("de-AT,de;q=0.9,en;q=0.8", "Anmeldung lesen: es wurde keine gesendet"), ("fr, en;q=0.5, de", "read the login: none was sent"),
                             ("fr", "read the login: none was sent")):
            with socket.create_connection(("127.0.0.1", self.office.port)) as connection:
                connection.sendall(f"GET /api/types HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Language: {header}\r\n\r\n".encode())
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            self.assertEqual(json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["message"], said, header)

    def test_a_bad_setting_with_file_and_line(self):
        path = self.office.data / "config" / "P2P.properties"
        text = path.read_text(encoding="utf-8")
        try:
            kept = [line for line in text.splitlines() if not line.startswith("sessions.max")]
            path.write_text("\n".join(kept + ["sessions.max=viele", ""]), encoding="utf-8")
            errors = self.refused("config", "check", code=2)
            self.assertIn(f"{path}:{len(kept) + 1}: sessions.max = viele: keine ganze Zahl", errors)
            self.assertIn("Hinweis: Eine ganze Zahl von 1 bis 1000000.", errors)
            path.write_text("\n".join(kept + ["session.max=7", ""]), encoding="utf-8")
            errors = self.refused("config", "check", code=2)
            self.assertIn("session.max: diese Einstellung gibt es nicht", errors)
            self.assertIn("Hinweis: Meinten Sie sessions.max?", errors)
        finally:
            path.write_text(text, encoding="utf-8")

    def test_what_an_import_leaves_out(self):
        files = self.office.data.parent / "eingang"
        files.mkdir()
        for name, text in (("a.json", '{"a":'), ("b.ndjson", "[]\n{\n"), ("liste.csv", "x\n"), ("notiz.txt", "x")):
            (files / name).write_text(text, encoding="utf-8")
        report = self.office.run("import", str(files), **GERMAN).output
        for said in ("a.json: endet zu früh, ist kein JSON", "b.ndjson: Zeile 1: ist kein JSON-Objekt", "b.ndjson: Zeile 2: ist kein JSON: ",
                     "liste.csv: eine CSV-Datei braucht eine Zuordnung: --mapping DATEI.toml", "notiz.txt: ist weder eine FHIR-Datei"):
            self.assertIn(said, report)

    def test_how_the_node_is(self):
        """Words of the protocol and reasons that the node keeps in English; programs read both as they are."""
        lines = self.office.run("status", **GERMAN).check().output.splitlines()
        shown = {label: value.strip() for label, _, value in (line.partition("  ") for line in lines)}
        self.assertEqual([shown[label] for label in ("Rolle", "Datenbank", "Änderungslog", "Historie")], ["Produktivserver", "läuft", "läuft", "läuft"])
        self.assertIn("/praxis als verbund_node", shown["Verbindung zur Datenbank"])
        self.assertEqual(len({line.rindex("  ") for line in lines}), 1, f"the values stand in one column: {lines}")
        status = self.office.run("--json", "status", **GERMAN).check().json()
        self.assertEqual([status["node"]["role"], status["database"]["state"], status["feed"]["state"], status["history"]["state"]],
                         ["production", "up", "running", "running"])
        self.assertIn("läuft", self.office.run("feed", "status", **GERMAN).check().output)
        self.assertIn("running", self.office.run("feed", "status").check().output)

    def on_a_terminal(self, columns, *words):
        """The lines that a command shows on a terminal of so many columns."""
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        command = subprocess.Popen([BINARY, "--dir", str(self.office.data), *words], stdin=subprocess.DEVNULL, stdout=its, stderr=subprocess.DEVNULL,
                                   env={**os.environ, **GERMAN})
        os.close(its)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the terminal's other side is closed
                break
        os.close(ours)
        self.assertEqual(command.wait(60), 0)
        return shown.decode().splitlines()

    def test_tables_fit_the_terminal_and_files_get_whole_lines(self):
        key = f"patient/{self.office.a_patient()}"
        self.office.psql(f"UPDATE patient SET city = 'Bad Neuenahr-Ahrweiler' WHERE id = '{key[8:]}';"
                         f"UPDATE patient_identifier SET value = value || '-alt' WHERE patient_id = '{key[8:]}'")
        wait_for(lambda: "-alt" in self.office.run("history", key).output, "its versions are kept")
        wide = self.on_a_terminal(200, "history", key)
        self.assertRegex(wide[0], r"^ZEIT .* ÄNDERUNGEN$")
        self.assertTrue(all(len(line) <= 200 for line in wide), wide)
        narrow = self.on_a_terminal(80, "history", key)
        self.assertEqual(narrow[1], "    ÄNDERUNGEN")
        below = [line for line in narrow if line.startswith("    ")]
        self.assertTrue(len(below) > 2 and all(len(line) <= 80 for line in below), narrow)
        plain = self.office.run("history", key, **GERMAN).check().output.splitlines()
        self.assertTrue(all(line.startswith(("ZEIT", "20")) for line in plain), plain)

    def test_why_a_table_is_not_captured(self):
        key = "SELECT conname || '|' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'medication'::regclass AND contype = 'p'"
        name, definition = self.office.psql(key).split("|")
        self.office.psql(f"ALTER TABLE medication DROP CONSTRAINT {name} CASCADE")
        try:
            said = wait_for(lambda: next((line for line in self.office.run("feed", "tables", **GERMAN).check().output.splitlines()
                                          if line.startswith("public.medication ") and "erfasst" not in line), None), "the table rests")
            self.assertIn("sie hat keinen Primärschlüssel: veröffentlicht ließe sie UPDATE und DELETE der Anwendung scheitern", said)
        finally:
            self.office.psql(f"ALTER TABLE medication ADD CONSTRAINT {name} {definition}")

    def test_what_a_backup_set_says_of_itself(self):
        target = self.office.directory / "sicherungen"
        target.mkdir()
        said = self.office.run("backup", "run", "--no-verify", "--target", str(target), **GERMAN).check().output
        self.assertIn("vollständig", said)
        shown = self.office.run("backup", "show", "newest", "--target", str(target), **GERMAN).check().output
        self.assertRegex(shown, r"je ein Snapshot bei LSN \S+; Änderungslog bei LSN \S+ angehalten")
        english = self.office.run("--json", "backup", "show", "newest", "--target", str(target), **GERMAN).check().json()
        self.assertIn("one snapshot each at LSN", english["barrier"])

    def test_what_the_system_says_by_itself(self):
        self.assertIn("/nirgends einlesen: Datei oder Verzeichnis gibt es nicht", self.refused("import", "/nirgends", code=4))
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            self.assertIn("Verbindung abgelehnt", self.refused("--server", f"127.0.0.1:{nobody.getsockname()[1]}", "who", code=3))
        self.assertIn("niemand hat sie bekommen", self.office.run("tell", "Nirgendwo", "hallo", **GERMAN).check().output)

    def test_a_node_that_does_not_answer(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            errors = self.refused("--server", f"127.0.0.1:{nobody.getsockname()[1]}", "who", code=3)
        self.assertIn("Verbindung zu 127.0.0.1:", errors)
        self.assertIn("Hinweis: prüfen Sie, ob der Knoten läuft und ob Rechner und Port stimmen", errors)

    def test_the_command_line_itself(self):
        self.assertIn("verbund: Fehler: keys fehlt", self.refused("lock", code=2))
        self.assertIn("Das war nicht erwartet: --sofort", self.refused("who", "--sofort", code=2))
        self.assertIn("--wait: 900 liegt nicht im Bereich von 0 bis 600", self.refused("lock", "patient/1", "--wait", "900", code=2))
        self.assertIn("Hinweis: `verbund lock --help` zeigt", self.refused("lock", code=2))
        help_text = self.office.run("lock", "--help", **GERMAN).check().output
        for word in ("Aufruf: ", "Optionen:", "Diese Hilfe zeigen", "NÖTIG"):
            self.assertIn(word, help_text)
        self.assertNotIn("Options:", self.office.run("backup", "run", "--help", **GERMAN).check().output)
        self.assertIn("nicht zusammen mit: --no-verify", self.office.run("backup", "run", "--help", **GERMAN).check().output)
        self.assertIn("Unterbefehle:", self.office.run("--help", **GERMAN).check().output)
        english = self.office.run("lock", "--help").check().output
        for word in ("Usage: ", "Options:", "Print this help message and exit"):
            self.assertIn(word, english)


if __name__ == "__main__":
    unittest.main()
