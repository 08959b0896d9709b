"""The nights of a pair move with the roles: the mirror makes them, production when the mirror can't or has not; one ledger on both machines. T5, T6."""
import datetime
import json
import os
import shutil
import signal
import unittest

from office import Office, wait_for
from test_mirror import Mirror, invite, open_for_mirrors, psql

PATIENCE = 120
DUTY = '[duty]\nresponsible = "Anna Müller <anna@praxis.example>"\nadministrators = ["Chief <chief@praxis.example>"]\n'


def hours_ago(hours):
    return datetime.datetime.now() - datetime.timedelta(hours=hours)


class PairOfNights(unittest.TestCase):
    """Two machines that have had their first day; each has a place for its sets."""

    night_hours_ago = 1

    def setUp(self):
        self.office = open_for_mirrors(Office(demo=None)).start()
        self.addCleanup(self.office.close)
        self.mirror = Mirror(self.office)
        self.addCleanup(self.mirror.close)
        psql(self.office, "CREATE TABLE records AS SELECT n AS id, md5(n::text) AS text FROM generate_series(1, 1000) n; ALTER TABLE records ADD PRIMARY KEY (id)")
        self.mirror.join(invite(self.office)).check()
        self.office.stop()
        self.night = hours_ago(self.night_hours_ago)
        self.targets = {}
        for side in (self.office, self.mirror):
            self.targets[side] = side.directory / "medium"
            self.targets[side].mkdir()
            (side.data / "config" / "backup.toml").write_text(
                f'[backup]\ntarget = "{self.targets[side]}"\ntarget_is_mount = false\nverify = "L3"\n[plan]\nnight_at = "{self.night:%H:%M}"\n{DUTY}', encoding="utf-8")
            (side.data / "backup").mkdir(exist_ok=True)
            (side.data / "backup" / "nights.since").write_text(hours_ago(12).strftime("%Y-%m-%dT%H:%M:%S\n"))

    def start(self):
        self.office.start()
        self.mirror.start()

    def ledger(self, side):
        try:
            return (side.data / "backup" / "ledger.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def runs(self, side):
        return [line for line in self.ledger(side).splitlines() if "run-ended" in line]

    def sets(self, side):
        return sorted(path.name for path in self.targets[side].iterdir() if (path / "RESTORE.txt").exists())

    def both_have(self, runs):
        wait_for(lambda: len(self.runs(self.office)) == runs and self.ledger(self.office) == self.ledger(self.mirror), f"{runs} runs in both ledgers", PATIENCE)

    def night_of(self, side):
        return json.loads(side.run("--json", "backup", "night").output.splitlines()[-1])

    def alarms(self, side):
        return [alarm["key"] for alarm in side.run("--json", "backup", "check").json()["alarms"]]


class ByTheMirror(PairOfNights):
    """Given a night that was slept through and a mirror that follows, When its node looks, Then the mirror makes the backup, both ledgers have it, and
    production makes none; When somebody enters something on production, Then the mirror knows it."""

    def test_the_mirror_makes_the_night(self):
        self.start()
        self.both_have(1)
        self.assertEqual(len(self.sets(self.mirror)), 1)
        self.assertEqual(self.sets(self.office), [])
        for file in ("installation", "signing.pub"):
            self.assertEqual((self.mirror.data / "backup" / file).read_text(), (self.office.data / "backup" / file).read_text())
        night = self.night_of(self.office)
        self.assertEqual((night["ran"], night["turn"]), (False, "others"), night)
        self.assertIn("spiegel", night["why"])
        self.assertEqual(self.night_of(self.mirror)["turn"], "ours")
        # Whichever machine is asked: when the next one is due and what the last one was.
        self.assertIn("der Spiegelserver spiegel macht die Sicherungen", self.office.run("backup", "night", LC_ALL="de_DE.UTF-8").output)
        status = self.office.run("--json", "status").check().json()
        self.assertEqual(status["backup"]["last_good"]["set"], self.sets(self.mirror)[0])
        self.assertEqual(status["backup"]["turn"], "others")
        self.assertIn("der Spiegelserver spiegel macht die Sicherungen", self.office.run("status", LC_ALL="de_DE.UTF-8").check().output)
        self.assertIn("er ist der Spiegelserver von", self.mirror.run("status", LC_ALL="de_DE.UTF-8").check().output)
        self.assertEqual(self.alarms(self.office), [])
        self.office.run("backup", "duty", "tick", "--by", "Anna Müller").check()
        wait_for(lambda: self.ledger(self.mirror) == self.ledger(self.office) and "ticked" in self.ledger(self.mirror), "the mirror to know of the tick", PATIENCE)
        self.mirror.run("backup", "verify", self.sets(self.mirror)[0]).check()

    def test_production_stands_in_for_a_mirror_that_is_not_there(self):
        """With the mirror off production makes the night that has come and says why, until the mirror is heard again, which knows it."""
        self.office.start()
        wait_for(lambda: self.runs(self.office), "production to stand in for a mirror that is not there", PATIENCE)
        self.assertEqual(len(self.sets(self.office)), 1)
        wait_for(lambda: "stand-in" in self.alarms(self.office), "production to say so", PATIENCE)
        self.mirror.start()
        self.both_have(1)
        self.assertEqual(self.night_of(self.mirror)["ran"], False, "the night is made")
        self.assertEqual(self.sets(self.mirror), [])
        wait_for(lambda: "stand-in" not in self.alarms(self.office), "the alarm to end: the mirror is there again", PATIENCE)


class StandIn(PairOfNights):
    """Given a mirror whose medium is gone, When two hours have passed since the night's time, Then production makes the night, once, and says so."""

    night_hours_ago = 3

    def test_production_stands_in_once(self):
        shutil.rmtree(self.targets[self.mirror])
        self.start()
        wait_for(lambda: self.sets(self.office), "production to stand in", PATIENCE)
        wait_for(lambda: self.ledger(self.office) == self.ledger(self.mirror) and self.runs(self.mirror), "the mirror to know it", PATIENCE)
        wait_for(lambda: "stand-in" in self.alarms(self.office), "production to say so", PATIENCE)
        night = self.night_of(self.office)
        self.assertEqual((night["ran"], night["turn"]), (False, "others"), night)
        self.assertIn("has made no backup of the night", night["why"])
        self.assertEqual(len(self.sets(self.office)), 1)


class Promoted(PairOfNights):
    """Given a mirror that has made the nights, When production is gone and it is promoted, Then it goes on making them as production, with the same ledger."""

    def test_the_nights_stay_with_it(self):
        self.start()
        self.both_have(1)
        postmaster = self.office.postmaster()
        os.kill(postmaster, signal.SIGKILL)
        self.office.kill()
        wait_for(lambda: not self.mirror.status()["pair"]["peer"]["alive"], "the mirror to miss production")
        report = self.mirror.run("--json", "mirror", "promote").check().json()
        self.mirror.run("--json", "mirror", "promote", "--accept-loss", report["token"]).check()
        wait_for(lambda: self.mirror.run("--json", "mirror", "status").json().get("role") == "production", "the mirror to be production", PATIENCE)
        night = wait_for(lambda: (lambda seen: seen["turn"] == "stands in" and seen)(self.night_of(self.mirror)), "the nights to be production's", PATIENCE)
        self.assertFalse(night["ran"], "this night is made")
        self.assertIn("is not heard", night["why"])
        self.assertEqual(len(self.runs(self.mirror)), 1)


if __name__ == "__main__":
    unittest.main()
