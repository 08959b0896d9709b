"""Devices of an office whose production dies: what they have sent and the mirror lacks is not lost. B4, D3, D8."""
import contextlib
import os
import signal
import sqlite3
import subprocess
import unittest

from office import Office, wait_for
from test_mirror import Mirror, invite, open_for_mirrors, psql

RULES = """[[subscription]]
name = "notes"
table = "note"
rights = ["read", "insert", "update", "delete"]

[[set]]
name = "all"
subscriptions = ["notes"]

[[group]]
name = "nurses"
sets = ["all"]

[[user]]
name = "anna"
group = "nurses"
"""
ROWS = 2000


class Failover(unittest.TestCase):
    def setUp(self):
        self.office = open_for_mirrors(Office(demo=None)).start()
        self.addCleanup(self.office.close)
        psql(self.office, f"CREATE TABLE note (id int PRIMARY KEY, text text NOT NULL); INSERT INTO note SELECT n, 'Notiz ' || n || ' ' || md5(n::text) FROM generate_series(1, {ROWS}) n")
        rules = self.office.directory / "regeln.toml"
        rules.write_text(RULES, encoding="utf-8")
        self.office.run("sync", "apply", str(rules)).check()
        self.mirror = Mirror(self.office)
        self.addCleanup(self.mirror.close)
        self.mirror.join(invite(self.office)).check()
        self.mirror.start()
        wait_for(lambda: self.state(self.mirror)["streaming"], "the mirror to follow")
        wait_for(lambda: self.state(self.office)["pair"]["peer"]["alive"], "production to know its mirror")

    def state(self, machine):
        return machine.run("--json", "mirror", "status").check().json()

    def tablet(self, name):
        file = self.office.directory / f"{name}.db"
        code = self.office.run("sync", "device", "invite", "--user", "anna").check().output.split()[0]
        self.device("init", file, "--server", f"127.0.0.1:{self.office.port}", "--code", code).check()
        self.device("sync", file).check()
        return file

    def device(self, verb, file, *words):
        return self.office.run("--json", "device", verb, "--db", str(file), *words)

    def change(self, file, sql):
        with sqlite3.connect(file) as app:
            app.executescript(sql)
        app.close()

    def rows(self, file, query):
        with contextlib.closing(sqlite3.connect(file)) as app:
            return str(app.execute(query).fetchone()[0])

    def test_what_the_mirror_lacks_comes_from_the_devices(self):
        """Given a mirror that has not received the last of production's log, When production dies and the loss is accepted, Then devices find the new production by themselves, what they had sent
        is there again, what only others had is gone from them, and little more than that travels."""
        anna, other = self.tablet("anna"), self.tablet("anderes")
        self.assertNotEqual(self.rows(anna, "SELECT count(*) FROM verbund_server"), "0", "it knows the other machine")
        sender = int(subprocess.run(["pgrep", "-P", str(self.office.postmaster()), "-f", "walsender verbund_mirror"], stdout=subprocess.PIPE, check=True).stdout)
        os.kill(sender, signal.SIGSTOP)
        self.change(anna, "UPDATE note SET text = 'von unterwegs' WHERE id = 1; INSERT INTO note VALUES (9001, 'neu'); DELETE FROM note WHERE id = 2")
        self.assertEqual(self.device("sync", anna).check().json()["applied"], 3)
        self.assertEqual(self.rows(anna, "SELECT count(*) FROM verbund_upload"), "1", "it keeps what the mirror does not have")
        psql(self.office, "UPDATE note SET text = 'nur in der Praxis' WHERE id = 3")
        wait_for(lambda: self.device("sync", other).check() and self.rows(other, "SELECT text FROM note WHERE id = 3") == "nur in der Praxis", "the other device to have it")
        self.assertEqual(self.rows(other, "SELECT text FROM note WHERE id = 1"), "von unterwegs")
        postmaster = self.office.postmaster()
        os.kill(postmaster, signal.SIGKILL)
        self.office.kill()
        os.kill(sender, signal.SIGKILL)
        wait_for(lambda: not self.state(self.mirror)["pair"]["peer"]["alive"], "the mirror to miss production")
        report = self.mirror.run("--json", "mirror", "promote").check().json()
        self.mirror.run("--json", "mirror", "promote", "--accept-loss", report["token"]).check()
        wait_for(lambda: self.mirror.psql("SELECT text FROM note WHERE id = 1")[0] == 0, "the new production")
        self.assertNotEqual(self.mirror.psql("SELECT text FROM note WHERE id = 1")[1], "von unterwegs", "the mirror had not received it")
        synced = wait_for(lambda: (lambda done: done if done.code == 0 else None)(self.device("sync", anna)), "the device to sync with the new production", every=0.5)
        self.assertLess(synced.json()["sessions"][0]["upserted"], ROWS / 2, "it is repaired, not filled anew")
        self.assertEqual(self.mirror.psql("SELECT string_agg(id || ' ' || text, ', ' ORDER BY id) FROM note WHERE id IN (1, 2, 9001)")[1], "1 von unterwegs, 9001 neu")
        wait_for(lambda: self.device("sync", other).code == 0 and self.rows(other, "SELECT text FROM note WHERE id = 1") == "von unterwegs", "the other device", every=0.5)
        self.device("sync", anna).check()
        everything = "SELECT count(*) || ' ' || sum(id) || ' ' || sum(length(text)) FROM note"
        there = self.mirror.psql(everything)[1]
        self.assertEqual(self.rows(anna, everything), there)
        self.assertEqual(self.rows(other, everything), there)
        self.assertIn("Notiz 3 ", self.rows(other, "SELECT text FROM note WHERE id = 3"), "what only the lost machine had is gone")


if __name__ == "__main__":
    unittest.main()
