"""The run report on its way to people: mail, files, paper, screen; a mail server that is down for a day; a mail that has to be acknowledged."""
import datetime
import email
import email.policy
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import cups_server
from office import BINARY, wait_for
from other_time import with_clock_at
from test_backup import Practice

SERVER = pathlib.Path(__file__).resolve().parent.parent.parent / "testing" / "smtp_server.py"
SECRET = "Karteikarte Müller, Hans 1961.doc"  # a file's name that is a patient's


class MailServer:
    def __init__(self, port=0):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="verbund-mail-"))
        self.process = subprocess.Popen(["/usr/bin/python3", SERVER, self.directory, "--port", str(port)])
        wait_for((self.directory / "port").exists, "the mail server listens")
        self.port = int((self.directory / "port").read_text())

    def mails(self):
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in sorted(self.directory.glob("*.eml"))]

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def free_port():
    import socket
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Reports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.practice = Practice()

    @classmethod
    def tearDownClass(cls):
        cls.practice.office.close()

    def setUp(self):
        self.practice.configure(level="L2")
        config = self.practice.office.data / "config" / "verbund.toml"
        if not hasattr(type(self), "plain"):
            type(self).plain = config.read_text(encoding="utf-8")
        self.config = config
        self.addCleanup(shutil.rmtree, self.practice.office.data / "alarm", ignore_errors=True)

    def mail_to(self, port, alarm=""):
        mail = (f'[mail]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nfrom = "Verbund <backup@praxis.example>"\nlimit_seconds = 5\n'
                'administrators = ["Sabine Groß <gross@praxis.example>"]\n')
        text = self.plain.replace("\n[mail]", "\n" + mail, 1).replace("\n[alarm]", f'\n[alarm]\noffice = "Praxis Weber"\n{alarm}', 1)
        self.config.write_text(text, encoding="utf-8")

    def run_verbund(self, *words, **environment):
        return self.practice.office.run(*words, **environment)

    def later(self, shift, *words):
        return subprocess.run(with_clock_at(shift, BINARY, "--dir", self.practice.office.data, *words), capture_output=True, text=True, timeout=120,
                              env={**os.environ, "LC_ALL": "C.UTF-8"})

    def server(self, port=0):
        server = MailServer(port)
        self.addCleanup(server.close)
        return server

    def test_an_incomplete_run_is_mailed_in_german_without_names_and_kept_with_them(self):
        server = self.server()
        self.mail_to(server.port)
        self.practice.configure(level="L2", save=f'save = ["bin", "database", "{SECRET}"]')
        done = self.practice.backup("run")
        self.assertEqual(done.code, 10, done.errors)
        [mail] = server.mails()
        night = mail["Subject"].split(", ")[1]
        self.assertEqual(mail["Subject"], f"UNVOLLSTÄNDIG: Praxis Weber, {night}, kein Medium")
        datetime.datetime.strptime(night, "%d.%m.%Y")
        self.assertEqual([each.addr_spec for each in mail["To"].addresses], ["gross@praxis.example"])
        body = mail.get_body(("plain",)).get_content()
        self.assertIn("practice: 1 Dateien oder Ordner fehlen", body)
        self.assertIn("Datenbank praxis", body)
        [pdf] = list(mail.iter_attachments())
        self.assertEqual(pdf.get_content_type(), "application/pdf")
        self.assertTrue(pdf.get_filename().startswith("sicherungsprotokoll-"), pdf.get_filename())
        with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
            file.write(pdf.get_content())
            file.flush()
            printed = subprocess.run(["pdftotext", "-layout", file.name, "-"], capture_output=True, text=True, check=True).stdout
        self.assertIn("UNVOLLSTÄNDIG", printed)
        patient = self.practice.office.psql("SELECT family_name FROM patient LIMIT 1") if self.has_patients() else "Müller"
        for text in (body, printed, str(mail["Subject"])):
            for secret in ("Müller", "Karteikarte", patient):
                self.assertNotIn(secret, text)

        set_id = done.json()["set"]
        status = self.run_verbund("status").check()
        self.assertIn(f"The backup {set_id} was not complete and proven", status.output)
        shown = self.run_verbund("backup", "report", "show").check()
        self.assertIn(SECRET, shown.output)
        self.assertNotIn("was not complete and proven", self.run_verbund("status").check().output)
        reports = self.practice.office.data / "backup" / "reports"
        self.assertEqual({path.suffix for path in reports.glob(f"{set_id}.*")}, {".txt", ".html", ".pdf", ".json", ".mail"})
        self.assertEqual({path.stat().st_mode & 0o777 for path in reports.iterdir()}, {0o600})
        self.assertTrue((self.practice.target / f"verbund-report-{set_id}.pdf").read_bytes().startswith(b"%PDF"))
        listed = {each["id"]: each for each in self.run_verbund("--json", "backup", "report", "list").check().json()}
        self.assertEqual(listed[set_id]["outcome"], "incomplete")
        self.assertFalse(listed[set_id]["unseen"])

    def has_patients(self):
        return self.practice.office.psql("SELECT count(*) FROM information_schema.columns WHERE table_name = 'patient' AND column_name = 'family_name'") == "1"

    def test_a_mail_server_that_is_down_for_a_day_gets_each_mail_once(self):
        port = free_port()
        self.mail_to(port)
        done = self.practice.backup("run")
        self.assertEqual(done.code, 0, f"a mail that waits does not make a good run a bad one: {done.output} {done.errors}")
        for hours in range(1, 25, 4):
            left = self.later(f"+{hours}h", "backup", "report", "deliver")
            self.assertEqual(left.returncode, 50, left.stderr)
        self.assertIn("1 mails are not delivered", left.stderr)
        self.assertIn("1 mails are not delivered", self.run_verbund("status").check().output)
        server = self.server(port)
        self.later("+26h", "backup", "report", "deliver")
        self.later("+28h", "backup", "report", "deliver")
        [mail] = server.mails()
        self.assertTrue(mail["Subject"].startswith("OK: Praxis Weber, "), mail["Subject"])
        self.assertNotIn("not delivered", self.run_verbund("status").check().output)

    def test_a_run_that_fails_early_has_a_report_too(self):
        server = self.server()
        self.mail_to(server.port)
        done = self.practice.backup("run", "--target", str(self.practice.root / "no-such-place"))
        self.assertNotEqual(done.code, 0)
        [mail] = server.mails()
        self.assertTrue(mail["Subject"].startswith("FEHLGESCHLAGEN: Praxis Weber"), mail["Subject"])
        self.run_verbund("backup", "report", "show").check()

    def test_a_test_mail_is_acknowledged(self):
        server = self.server()
        self.mail_to(server.port)
        self.run_verbund("backup", "report", "test", "--to", "weber@praxis.example").check()
        [mail] = server.mails()
        self.assertEqual(mail["Subject"], "Praxis Weber: Probemail, bitte bestätigen")
        code = mail.get_body(("plain",)).get_content().split("report ack ")[1].split()[0]
        wrong = self.run_verbund("backup", "report", "ack", "00000000")
        self.assertEqual(wrong.code, 4)
        self.run_verbund("backup", "report", "ack", code, "--by", "Dr. Weber").check()
        self.run_verbund("backup", "report", "ack", code).check()

    def test_a_report_goes_once_more_and_to_a_file(self):
        server = self.server()
        self.mail_to(server.port, 'mail_reports = "never"\nlanguage = "en"\n')
        self.practice.backup("run").check()
        self.assertEqual(server.mails(), [])
        self.run_verbund("backup", "report", "mail", "--to", "weber@praxis.example").check()
        [mail] = server.mails()
        self.assertTrue(mail["Subject"].startswith("OK: Praxis Weber, 20"), mail["Subject"])
        with tempfile.TemporaryDirectory() as directory:
            page, paper = pathlib.Path(directory) / "x.html", pathlib.Path(directory) / "x.pdf"
            self.run_verbund("backup", "report", "show", "--html", str(page), "--pdf", str(paper)).check()
            self.assertIn("<html lang=\"en\">", page.read_text(encoding="utf-8"))
            self.assertTrue(paper.read_bytes().startswith(b"%PDF"))

    def test_the_configuration_check_looks_at_the_password_too(self):
        self.mail_to(25)
        self.run_verbund("config", "check").check()
        self.config.write_text(self.config.read_text(encoding="utf-8").replace("limit_seconds = 5", 'limit_seconds = 5\nuser = "praxis"'), encoding="utf-8")
        self.assertIn("password", self.run_verbund("config", "check").errors)
        password = self.practice.office.data / "secrets" / "mail"
        password.write_text("geheim\n")
        password.chmod(0o644)
        self.assertIn("chmod 600", self.run_verbund("config", "check").errors)
        password.chmod(0o600)
        self.run_verbund("config", "check").check()
        password.unlink()

    @unittest.skipIf(cups_server.why_not(), f"{cups_server.why_not()}")
    def test_a_report_comes_out_of_a_real_printer_queue(self):
        cups = cups_server.CupsServer()
        self.addCleanup(cups.close)
        self.config.write_text(self.plain.replace("\n[alarm]", f'\n[alarm]\nprinter = "{cups.QUEUE}"\nprint_reports = "always"', 1), encoding="utf-8")
        self.practice.backup("run", **cups.environment).check()
        wait_for(lambda: cups.printed, "a page comes out")
        self.assertTrue(cups.printed[0].startswith(b"%PDF"), cups.printed[0][:20])
        self.run_verbund("backup", "report", "print", **cups.environment).check()
        wait_for(lambda: len(cups.printed) == 2, "another one comes out")


if __name__ == "__main__":
    unittest.main()
