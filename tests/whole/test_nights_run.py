"""The nights of a running office: the node makes the run when it is due, makes up for one, says when there was none; whoever is killed when."""
import datetime
import json
import os
import re
import signal
import subprocess
import unittest
import unittest.mock

from office import BINARY, Office, wait_for
from other_time import with_clock_at
from practice import Practice
from test_report import MailServer, free_port

DUTY = '[duty]\nresponsible = "Anna Müller <anna@praxis.example>"\ndeputy = "Jörg"\nadministrators = ["Chief <chief@praxis.example>"]\n'
A_NIGHT = 200.0  # up to a minute until the time of day has come, and the run


def mails_of(office, port, more=""):
    config = office.data / "config" / "verbund.toml"
    text = config.read_text(encoding="utf-8")
    mail = (f'[mail]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nfrom = "Verbund <backup@praxis.example>"\nlimit_seconds = 5\n'
            'administrators = ["Sabine Groß <gross@praxis.example>"]\n')
    alarm = f'[alarm]\noffice = "Praxis Weber"\ntest_mail_days = 0\n{more}'
    config.write_text(text.replace("\n[mail]", "\n" + mail, 1).replace("\n[alarm]", "\n" + alarm, 1), encoding="utf-8")


def begun(office, ago):
    """The office has had its first day."""
    folder = office.data / "backup"
    folder.mkdir(exist_ok=True)
    since = datetime.datetime.now() - ago
    (folder / "nights.since").write_text(since.strftime("%Y-%m-%dT%H:%M:%S\n"))


def at_time(shift):
    return (datetime.datetime.now() + shift).strftime("%H:%M")


class NodeNights(unittest.TestCase):
    """An office whose node has the nights."""

    def setUp(self):
        self.practice = Practice()
        self.office = self.practice.office
        self.addCleanup(self.practice.close)
        self.office.stop()
        self.server = MailServer()
        self.addCleanup(self.server.close)
        mails_of(self.office, self.server.port)

    def plan(self, night_at, more=""):
        self.practice.configure(level="L2", plan=f'night_at = "{night_at}"\n{more}', extra=DUTY)

    def slept_through(self, more=""):
        """The night of eight hours ago had no run."""
        self.plan(at_time(-datetime.timedelta(hours=8)), more)
        begun(self.office, datetime.timedelta(hours=30))

    def ledger(self):
        try:
            lines = (self.office.data / "backup" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if "run-ended" in line]

    def reports(self):
        return self.practice.backup("report", "list").check().json()

    def subjects(self, word):
        return [str(mail["Subject"]) for mail in self.server.mails() if word in str(mail["Subject"])]

    def rounds(self):
        return (self.office.data / "log" / "verbund.log").read_text(encoding="utf-8").count('"command":"check"')

    def wait_for_run(self, count=1):
        wait_for(lambda: len(self.ledger()) >= count, "the node has made the night's run", A_NIGHT)
        wait_for(lambda: self.subjects("OK: "), "its report has come")

    def running_night(self):
        """The pid of the `backup night` that the node has called, once the run has stopped the service."""
        (self.practice.scripts / "hold").touch()
        (self.practice.scripts / "was-stopped").unlink(missing_ok=True)
        self.office.start()
        wait_for((self.practice.scripts / "was-stopped").exists, "the night's run has stopped the service")
        return int(re.search(r"pid (\d+)", (self.office.data / "backup" / "night.lock").read_text())[1])

    def release(self):
        (self.practice.scripts / "hold").unlink(missing_ok=True)

    # -- at its time, or later

    def test_the_node_makes_the_run_at_its_time(self):
        soon = datetime.datetime.now() + datetime.timedelta(seconds=20)
        self.plan((soon + datetime.timedelta(seconds=60 - soon.second)).strftime("%H:%M"))
        self.office.start()
        self.assertEqual(self.ledger(), [], "it is not due yet")
        self.wait_for_run()
        self.assertTrue(self.practice.service_runs())
        [done] = self.practice.sets()
        self.assertTrue(done["complete"])
        self.assertEqual([each["outcome"] for each in self.reports()], ["ok"])
        status = self.office.run("status").check().output
        self.assertIn("next backup", status)
        self.assertIn("last good backup", status)
        self.assertEqual(json.loads(self.office.run("--json", "status").check().output)["backup"]["configured"], True)
        self.assertIn('"command":"night","exit_code":"0"', (self.office.data / "log" / "verbund.log").read_text())

    def test_a_night_that_was_slept_through_is_told_once_and_made_up_for(self):
        self.slept_through()
        self.office.start()
        self.wait_for_run()
        wait_for(lambda: self.subjects("AUSGEFALLEN"), "the missed night is told of")
        for end in (self.office.kill, self.office.stop):
            before = self.rounds()
            end()
            self.office.start()
            wait_for(lambda: self.rounds() > before, "the node has made its round after the start")
        self.assertEqual(len(self.subjects("AUSGEFALLEN")), 1)
        self.assertEqual(len(self.ledger()), 1, "one run makes up for it")
        self.assertEqual(sorted(each["outcome"] for each in self.reports()), ["missed", "ok"])

    def test_whoever_else_has_the_nights_the_node_makes_none(self):
        self.slept_through('scheduler = "timer"')
        self.office.start()
        self.office.run("status").check()
        self.assertEqual(self.ledger(), [])
        done = self.practice.backup("night")
        self.assertEqual(done.code, 0, done.output + done.errors)
        self.assertTrue(json.loads(done.output.splitlines()[-1])["ran"])
        self.assertEqual(len(self.ledger()), 1)

    def test_the_node_of_a_drill_has_no_nights(self):
        self.slept_through()
        (self.office.data / "backup" / "drill").write_text("20261122-013000-000001\n")
        self.office.start()
        self.assertEqual(self.practice.backup("night").check().json(), {"drill": True})
        self.assertEqual(self.practice.backup("check").check().json(), {"drill": True})
        self.assertEqual((self.ledger(), self.server.mails()), ([], []))

    # -- killed, stopped

    def test_the_node_is_killed_within_the_night_and_the_next_one_runs_it_again(self):
        self.slept_through()
        self.running_night()
        self.office.kill()
        self.release()
        wait_for(self.practice.service_runs, "what the run had stopped is started")
        self.assertEqual(self.ledger(), [], "it is still due")
        self.office.start()
        self.wait_for_run()
        self.assertTrue(self.practice.service_runs())
        self.assertEqual(len(self.subjects("AUSGEFALLEN")), 1)
        self.assertEqual(self.subjects("FEHLGESCHLAGEN"), [])

    def test_node_and_run_are_killed_together(self):
        self.slept_through()
        night = self.running_night()
        os.kill(night, signal.SIGKILL)
        self.office.kill()
        self.release()
        self.assertFalse(self.practice.service_runs())
        self.office.start()
        wait_for(self.practice.service_runs, "the next start of the node starts the service")
        self.wait_for_run()
        self.assertEqual([entry["complete"] for entry in self.practice.sets()], [True])

    def test_a_node_that_is_stopped_ends_the_run_in_order(self):
        self.slept_through()
        self.running_night()
        self.office.node.send_signal(signal.SIGTERM)
        self.release()
        self.assertEqual(self.office.node.wait(), 0)
        self.assertTrue(self.practice.service_runs(), "services run when the node has ended")
        self.assertEqual(self.ledger(), [])
        self.office.start()
        self.wait_for_run()

    # -- two at once

    def test_of_two_nights_at_once_one_says_who_runs(self):
        self.slept_through('scheduler = "timer"')
        (self.practice.scripts / "was-stopped").unlink(missing_ok=True)
        (self.practice.scripts / "hold").touch()
        first = self.office.command("backup", "night")
        wait_for((self.practice.scripts / "was-stopped").exists, "the first one runs")
        second = self.practice.backup("night")
        self.assertEqual(second.code, 0, second.errors)
        said = second.json()
        self.assertFalse(said["ran"])
        self.assertIn(f"pid {first.process.pid}", said["busy"])
        self.release()
        self.assertEqual(first.wait(), 0, first.errors)
        self.assertEqual(len(self.ledger()), 1)

    def test_a_run_by_hand_is_in_the_way_and_nothing_has_failed(self):
        self.slept_through('scheduler = "timer"')
        (self.practice.scripts / "was-stopped").unlink(missing_ok=True)
        (self.practice.scripts / "hold").touch()
        by_hand = self.office.command("backup", "run", "--no-verify", "--target", str(self.practice.target))
        wait_for((self.practice.scripts / "was-stopped").exists, "the run by hand is under way")
        night = self.practice.backup("night")
        self.assertEqual(night.code, 0, night.errors)
        self.assertIn(f"pid {by_hand.process.pid}", night.json()["busy"])
        by_hand.send_signal(signal.SIGINT)
        self.release()
        by_hand.wait()
        self.assertEqual(self.ledger(), [], "what was called off is no night")
        self.assertEqual([each["outcome"] for each in self.reports() if each["outcome"] != "missed"], ["failed"], "the one by hand alone has a report")
        self.assertTrue(json.loads(self.practice.backup("night").check().output.splitlines()[-1])["ran"])


class Check(unittest.TestCase):
    """The round without a node, as a timer calls it."""

    def setUp(self):
        self.office = Office().init()
        self.addCleanup(self.office.close)

    def configure(self, text=DUTY):
        target = self.office.directory / "target"
        target.mkdir(exist_ok=True)
        (self.office.data / "config" / "backup.toml").write_text(f'[backup]\ntarget = "{target}"\n{text}', encoding="utf-8")

    def at(self, when, *words):
        done = subprocess.run(with_clock_at(when, BINARY, "--dir", self.office.data, "--json", "backup", *words), capture_output=True, text=True,
                              timeout=120, env={**os.environ, "LC_ALL": "C.UTF-8"})
        self.assertIn(done.returncode, (0, 10, 50), done.stderr)
        return done.returncode, json.loads(done.stdout)

    def server_at(self, port=0):
        server = MailServer(port)
        self.addCleanup(server.close)
        return server

    def test_an_office_without_a_backup_has_nothing_due_and_is_told_so(self):
        self.assertEqual(self.at("+40d", "check")[0], 0)
        self.assertIn("no backup is configured", self.office.run("backup", "check").check().output)
        self.assertIn("no backup is configured", self.office.run("backup", "night").check().output)
        self.assertIn("es ist keine Sicherung eingerichtet", self.office.run("backup", "check", LC_ALL="de_DE.UTF-8", LANGUAGE="de").check().output)

    def test_exit_codes_say_nothing_something_and_nobody_told(self):
        port = free_port()
        self.configure()
        self.assertEqual(self.at("+0h", "check"), (0, unittest.mock.ANY))
        code, found = self.at("+40h", "check")
        self.assertEqual(code, 10)
        self.assertIn("missed", [trouble["kind"] for trouble in found["troubles"]])
        text = self.office.run("backup", "check", LC_ALL="de_DE.UTF-8", LANGUAGE="de")
        self.assertNotIn("{}", text.output)
        mails_of(self.office, port)
        code, found = self.at("+70h", "check")
        self.assertEqual(code, 50, "nobody listens there")
        self.assertGreater(found["waiting_mails"], 0)

    def test_one_mail_for_a_missed_night_also_when_the_server_was_down(self):
        port = free_port()
        self.configure()
        mails_of(self.office, port)
        self.at("+0h", "check")
        for hours in (40, 41, 42):
            self.assertEqual(self.at(f"+{hours}h", "check")[0], 50)
        server = self.server_at(port)
        code, found = self.at("+45h", "check")
        self.assertEqual((code, found["waiting_mails"]), (10, 0))
        self.at("+46h", "check")
        missed = [mail for mail in server.mails() if str(mail["Subject"]).startswith("AUSGEFALLEN: Praxis Weber")]
        nights = {str(mail["Subject"]) for mail in missed}
        self.assertEqual(len(missed), len(nights), "each night once")
        self.assertEqual({str(mail["To"]) for mail in missed}, {"anna@praxis.example"})
        [pdf] = list(missed[0].iter_attachments())
        self.assertEqual(pdf.get_content_type(), "application/pdf")

    def test_an_unticked_control_goes_to_the_deputy_and_then_to_the_administrators(self):
        server = self.server_at()
        self.configure(DUTY.replace('"Jörg"', '"Jörg <joerg@praxis.example>"'))
        mails_of(self.office, server.port)
        begun(self.office, datetime.timedelta(days=20))
        day = datetime.date.today() + datetime.timedelta(days=1)
        while day.weekday() not in (1, 2) or (day.month, day.day) in ((1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31)):
            day += datetime.timedelta(days=1)

        def told():
            return sorted(address.addr_spec for mail in server.mails() if f"das Protokoll vom {day} ist nicht abgehakt" in mail.get_body(("plain",)).get_content()
                          for address in mail["To"].addresses)

        self.at(f"@{day} 09:30:00", "check")
        self.assertEqual(told(), [])
        self.at(f"@{day} 10:01:00", "check")
        self.assertEqual(told(), ["anna@praxis.example", "joerg@praxis.example"])
        self.at(f"@{day} 14:01:00", "check")
        self.assertEqual(told(), ["anna@praxis.example", "chief@praxis.example", "joerg@praxis.example"])
        ticked = subprocess.run(with_clock_at(f"@{day} 14:30:00", BINARY, "--dir", self.office.data, "backup", "duty", "tick", "--by", "Jörg"))
        self.assertEqual(ticked.returncode, 0)
        _, found = self.at(f"@{day} 15:00:00", "check")
        self.assertNotIn("not-ticked", [trouble["kind"] for trouble in found["troubles"]])


if __name__ == "__main__":
    unittest.main()
