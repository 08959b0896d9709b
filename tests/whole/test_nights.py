"""Nights: who is on duty, and what comes."""
import datetime
import subprocess
import unittest

from office import Office
from test_media import SHIFT

DUTY = """
[calendar]
state = "NW"
[duty]
responsible = "Anna Müller <anna@example.org>"
deputy = "Jörg"
administrators = ["Chief <chief@example.org>"]
"""


class Clock:
    """A program that sees another day: clock_gettime is preloaded, the machine's own clock stays."""

    def __init__(self, directory):
        self.library = directory / "shift.so"
        (directory / "shift.c").write_text(SHIFT)
        done = subprocess.run(["cc", "-shared", "-fPIC", "-o", self.library, directory / "shift.c", "-ldl"], capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest(f"no compiler here: {done.stderr.strip()}")

    def on_day(self, days):
        return {"LD_PRELOAD": str(self.library), "VERBUND_TEST_DAYS": str(days)}


class Nights(unittest.TestCase):
    """Without a node: an installation is enough."""

    def setUp(self):
        self.office = Office().init()
        self.addCleanup(self.office.close)
        self.configure(DUTY)
        self.clock = Clock(self.office.directory)

    def configure(self, text):
        (self.office.data / "config" / "backup.toml").write_text(text, encoding="utf-8")

    def backup(self, *words, days=0, **environment):
        return self.office.run("--json", "backup", *words, **({**self.clock.on_day(days), **environment} if days else environment))

    def duty(self, task="control", days=0):
        shown = self.backup("duty", "show", "--days", "14", days=days).check().json()["duty"]
        return [row for row in shown if row["task"] == task]

    # -- duty

    def test_duty_is_configured_and_what_is_said_by_command_stands_over_it(self):
        self.assertEqual({row["responsible"]["name"] for row in self.duty()}, {"Anna Müller"})
        entered = self.backup("duty", "set", "--weekday", "friday", "--responsible", "Ute <ute@example.org>", "--deputy", "Anna Müller", "--by", "Chief").check().json()
        self.assertEqual((entered["fact"], entered["by"], entered["weekday"]), ("duty-given", "Chief", "friday"))
        for row in self.duty():
            self.assertEqual(row["responsible"]["name"], "Ute" if row["weekday"] == "friday" else "Anna Müller", row)
        ledger = (self.office.data / "backup" / "ledger.jsonl").read_text(encoding="utf-8")
        self.assertIn("duty-given", ledger)
        self.backup("duty", "set", "--weekday", "friday", "--clear", "--by", "Chief").check()
        self.assertEqual({row["responsible"]["name"] for row in self.duty()}, {"Anna Müller"})

    def test_who_is_absent_is_stood_in_for(self):
        day = self.duty()[3]["day"]
        self.backup("duty", "absent", "Anna Müller", "--from", day, "--by", "Anna").check()
        self.assertEqual({row["responsible"]["name"] for row in self.duty() if row["day"] == day}, {"Jörg"})
        self.backup("duty", "absent", "Anna Müller", "--from", day, "--back", "--by", "Anna").check()
        self.assertEqual({row["responsible"]["name"] for row in self.duty() if row["day"] == day}, {"Anna Müller"})

    def test_a_control_is_ticked_off_once(self):
        self.backup("duty", "tick", "--by", "Jörg").check()
        again = self.backup("duty", "tick", "--by", "Anna")
        self.assertEqual(again.code, 4)
        self.assertIn("Jörg has done so", again.output)
        self.assertEqual(self.duty()[1]["ticked_by"], "Jörg")
        tomorrow = self.backup("duty", "tick", "--by", "Anna", "--day", self.duty()[2]["day"])
        self.assertEqual(tomorrow.code, 2, tomorrow.errors)

    def test_a_wrong_word_is_named(self):
        for words, code, text in ((("set", "--responsible", "<x>", "--by", "A"), 2, "names nobody"), (("set", "--by", "A"), 2, "nobody is named"),
                                  (("set", "--weekday", "montag", "--responsible", "A", "--by", "A"), 2, "no day of the week"),
                                  (("tick", "--task", "sleep", "--by", "A"), 2, "no task"),
                                  (("absent", "A", "--from", "2026-02-30", "--by", "A"), 2, "no date")):
            done = self.backup("duty", *words)
            self.assertEqual(done.code, code, words)
            self.assertIn(text, done.output)

    # -- what comes

    def test_the_schedule_shows_fourteen_nights_also_without_media(self):
        nights = self.backup("schedule").check().json()["nights"]
        self.assertEqual(len(nights), 14)
        times = [datetime.datetime.fromisoformat(night["at"]) for night in nights]
        self.assertEqual({(time.hour, time.minute) for time in times}, {(1, 30)})
        self.assertEqual({(after - before).days for before, after in zip(times, times[1:])}, {1})
        for night, time in zip(nights, times):
            self.assertEqual(night["weekday"], time.strftime("%A").lower())
            self.assertEqual(night["responsible"], "Anna Müller")
            self.assertIn("there is no", night["problem"])
        german = self.office.run("backup", "schedule", LC_ALL="de_DE.UTF-8", LANGUAGE="de").check().output
        self.assertIn("AUFBEWAHRT BIS", german)
        self.assertIn("Anna Müller", german)

    def test_a_wrong_plan_is_refused_with_its_line(self):
        self.configure('[plan]\nnight_at = "25:00"\n')
        done = self.office.run("config", "check")
        self.assertEqual(done.code, 2)
        self.assertIn("backup.toml:2: plan.night_at = 25:00: no time of day", done.errors)


if __name__ == "__main__":
    unittest.main()
