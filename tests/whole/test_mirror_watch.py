"""What production and mirror say of themselves, and what of it is unequal: status, preflight, metrics, alarms, from both sides. T6, T7, T8."""
import json
import os
import ssl
import subprocess
import unittest
import urllib.request

from office import BINARY, Office, wait_for
from test_mirror import Mirror, invite, open_for_mirrors, psql
from test_report import MailServer

PATIENCE = 120  # a look four times a minute, on a machine that is busy with other things


def superuser(side, port, sql):
    """Both servers' superuser, over the socket."""
    password = (side.data / "secrets" / "verbund").read_text().strip()
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(side.data / "postgres" / "run"), "-p", str(port), "-U", "verbund",
                           "-d", "praxis", "-c", sql], env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def german(side, *words):
    done = subprocess.run([BINARY, "--dir", str(side.data), *words], capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"})
    return done.stdout


class Watched(unittest.TestCase):
    """Given a production and its mirror, When something of the two is unequal, Then both sides say so, with what to do, and a mail is sent once, and again
    when it is over."""

    @classmethod
    def setUpClass(cls):
        cls.mails = MailServer()
        cls.addClassCleanup(cls.mails.close)
        cls.office = open_for_mirrors(Office())
        cls.addClassCleanup(cls.office.close)
        config = cls.office.data / "config" / "verbund.toml"
        mail = (f'[mail]\nhost = "127.0.0.1"\nport = {cls.mails.port}\nsecurity = "none"\nfrom = "Verbund <alarm@praxis.example>"\nlimit_seconds = 5\n'
                'administrators = ["Sabine Groß <gross@praxis.example>"]\n')
        config.write_text(config.read_text(encoding="utf-8").replace("\n[mail]", "\n" + mail, 1), encoding="utf-8")
        cls.office.start()
        cls.mirror = Mirror(cls.office)
        cls.addClassCleanup(cls.mirror.close)
        superuser(cls.office, cls.office.database_port, "CREATE EXTENSION IF NOT EXISTS pgcrypto; CREATE TABLE sorted (word text COLLATE \"de-x-icu\" PRIMARY KEY)")
        (cls.office.data / "secrets" / "mail").write_text("only if there is a user\n")
        cls.mirror.join(invite(cls.office)).check()
        cls.mirror.start()

    def state(self, side):
        done = side.run("--json", "mirror", "status")
        return done.json() if done.code == 0 else {}

    def both(self, what, condition):
        """Both sides' findings fulfil it."""
        def look():
            one, two = self.state(self.office), self.state(self.mirror)
            known = [each for each in (one, two) if each.get("machines") and each["machines"]["production"] and each["machines"]["mirror"]
                     and each["machines"]["production"]["postgres"] and each["machines"]["mirror"]["postgres"]]
            return (one, two) if len(known) == 2 and condition(one["findings"]) and condition(two["findings"]) else None
        return wait_for(look, what, PATIENCE)

    @staticmethod
    def about(findings, kind, name=""):
        return [each for each in findings if each["kind"] == kind and name in each["name"]]

    def metrics(self):
        context = ssl.create_default_context(cafile=str(self.office.data / "tls" / "ca.crt"))
        with urllib.request.urlopen(f"https://127.0.0.1:{self.office.port}/metrics", timeout=20, context=context) as answer:
            return answer.read().decode("utf-8")

    def subjects(self):
        return [str(mail["Subject"]) for mail in self.mails.mails()]

    def serious(self, findings):
        return [each for each in findings if each["severity"] != "notice" and each["kind"] != "disk"]  # whatever this machine's disk is like

    def test_equal_machines_know_of_each_other(self):
        one, two = self.both("both machines to know of each other", lambda findings: not self.serious(findings))
        self.assertEqual((self.mirror.data / "secrets" / "mail").read_text(), "only if there is a user\n", "it has to tell people, too")
        self.assertEqual((self.mirror.data / "secrets" / "mail").stat().st_mode & 0o777, 0o600)
        for state in (one, two):
            for machine in state["machines"].values():
                self.assertGreater(int(machine["disk"]["free_bytes"]), 0)
                self.assertGreaterEqual(int(machine["disk"]["total_bytes"]), int(machine["disk"]["free_bytes"]))
                self.assertRegex(machine["postgres"], r"^\d+\.\d+$")
            self.assertEqual((state["machines"]["production"]["version"], state["machines"]["mirror"]["name"]), (state["version"], "spiegel"))
        wait_for(lambda: self.state(self.office)["mirror"].get("promote_ms"), "production to hear how long a promotion would take")
        for side in (self.office, self.mirror):
            shown = side.run("mirror", "status").check().output
            self.assertRegex(shown, r"a promotion would take +about \d")
            self.assertRegex(shown, r"the mirror's disk +\d.* free of ")
            self.assertIn("last good backup", shown)
        self.assertRegex(german(self.office, "mirror", "status"), r"Platte des Spiegelservers +\d.* frei von ")
        self.assertEqual(self.mirror.run("--json", "mirror", "upgrade").check().json()["step"], "nothing")
        metrics = self.metrics()
        for name in ("verbund_pair_warnings", "verbund_disk_free_bytes", "verbund_pair_other_disk_free_bytes", "verbund_mirror_heard_seconds", "verbund_mirror_behind_bytes"):
            self.assertRegex(metrics, rf"(?m)^{name} \d")
        self.assertRegex(self.mirror.get("/metrics")[1], r"(?m)^verbund_mirror_promote_seconds \d")

    def test_a_setting_of_one_machine_is_told_once_and_when_it_is_over(self):
        self.both("both machines to know of each other", lambda findings: not self.about(findings, "setting", "TimeZone"))
        port = self.office.database_port
        superuser(self.office, port, "ALTER SYSTEM SET timezone = 'Asia/Tokyo'")
        superuser(self.office, port, "ALTER SYSTEM SET work_mem = '77MB'")
        superuser(self.office, port, "SELECT pg_reload_conf()")
        one, _ = self.both("both sides to say that a setting is unequal", lambda findings: self.about(findings, "setting", "TimeZone") and self.about(findings, "setting", "work_mem"))
        [zone] = self.about(one["findings"], "setting", "TimeZone")
        self.assertEqual((zone["severity"], zone["production"]), ("warning", "Asia/Tokyo"))
        self.assertEqual(self.about(one["findings"], "setting", "work_mem")[0]["severity"], "notice")
        self.assertIn("ALTER SYSTEM reaches one machine alone", self.mirror.run("mirror", "status").check().output)
        self.assertIn("die Einstellung TimeZone von PostgreSQL ist auf dem Produktivserver Asia/Tokyo", german(self.mirror, "mirror", "status"))
        checks = self.office.run("--json", "mirror", "preflight").json()
        [alike] = [each for each in checks["checks"] if "set alike" in each["what"]]
        self.assertEqual((alike["good"], alike["blocks"]), (False, False))
        self.assertRegex(german(self.office, "mirror", "preflight"), r"!  PostgreSQL und die Konfiguration der Praxis sind gleich eingestellt: .*TimeZone")
        wait_for(lambda: "verbund_pair_warnings 0" not in self.metrics(), "the metrics to count it", PATIENCE)
        begun = lambda: [each for each in self.subjects() if "ALARM: die Einstellung TimeZone" in each]
        wait_for(begun, "a mail", PATIENCE)
        superuser(self.office, port, "ALTER SYSTEM RESET timezone")
        superuser(self.office, port, "ALTER SYSTEM RESET work_mem")
        superuser(self.office, port, "SELECT pg_reload_conf()")
        self.both("both sides to be calm again", lambda findings: not self.about(findings, "setting", "TimeZone") and not self.about(findings, "setting", "work_mem"))
        wait_for(lambda: [each for each in self.subjects() if "vorbei: " in each and "TimeZone" in each], "a mail that it is over", PATIENCE + 60)
        self.assertEqual(len(begun()), 1, self.subjects())

    def test_indexes_of_an_older_sort_order_are_named(self):
        port = self.office.database_port
        superuser(self.office, port, "SET allow_system_table_mods = on; UPDATE pg_collation SET collversion = '1.2' WHERE collname = 'de-x-icu'")
        try:
            one, _ = self.both("both sides to name the sort order", lambda findings: self.about(findings, "collation", "de-x-icu"))
            [found] = self.about(one["findings"], "collation", "de-x-icu")
            self.assertEqual(found["severity"], "warning")
            self.assertIn("built with version 1.2", found["text"])
            self.assertIn("REINDEX", found["hint"])
        finally:
            superuser(self.office, port, "ALTER COLLATION pg_catalog.\"de-x-icu\" REFRESH VERSION")

    def test_the_office_s_configuration_differs(self):
        config = self.mirror.data / "config" / "verbund.toml"
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace("journal_rows_kept = 5000000", "journal_rows_kept = 6000000", 1), encoding="utf-8")
        try:
            one, _ = self.both("both sides to name the key", lambda findings: self.about(findings, "option", "feed.journal_rows_kept"))
            [found] = self.about(one["findings"], "option", "feed.journal_rows_kept")
            self.assertEqual((found["name"], found["production"], found["mirror"]), ("verbund.toml feed.journal_rows_kept", "5000000", "6000000"))
        finally:
            config.write_text(text, encoding="utf-8")


class SetBack(unittest.TestCase):
    """Given a pair, When production's disk is set back to an older state while both are off, Then production tells that its mirror has more than it has, instead of "0 bytes behind"."""

    def test_production_tells_that_its_mirror_has_more(self):
        office = open_for_mirrors(Office(demo=None)).start()
        self.addCleanup(office.close)
        mirror = Mirror(office)
        self.addCleanup(mirror.close)
        mirror.join(invite(office)).check()
        mirror.start()
        office.stop()
        data = office.data / "postgres" / "data"
        subprocess.run(["cp", "-a", str(data), str(data) + "-snapshot"], check=True)
        office.start()
        psql(office, "CREATE TABLE letters AS SELECT n, repeat('x', 1000) AS text FROM generate_series(1, 5000) n")
        wait_for(lambda: mirror.psql("SELECT count(*) FROM letters")[1] == "5000", "the mirror to have them", PATIENCE)
        mirror.stop()
        office.stop()
        subprocess.run(["rm", "-rf", str(data)], check=True)
        os.rename(str(data) + "-snapshot", data)
        # Without its mirror it would wait for a person; with it, it hears of no higher term.
        program = office.start(wait=False).node
        mirror.start()
        started = json.loads(program.line(lambda line: '"started":true' in line or '"error"' in line))
        self.assertTrue(started.get("started"), started)
        office.port = started["port"]
        wait_for(lambda: "has more of the log than production" in office.run("status").output, "production to tell", PATIENCE)
        self.assertIn("mehr vom Log als der Produktivserver", german(office, "status"))
        self.assertEqual(mirror.psql("SELECT count(*) FROM letters")[1], "5000", "what is on the mirror alone stays there")


class Pretended(unittest.TestCase):
    """A mirror that says of itself what no second machine of a test can be."""

    def setUp(self):
        self.office = open_for_mirrors(Office(demo=None)).start()
        self.addCleanup(self.office.close)
        self.mirror = Mirror(self.office)
        self.addCleanup(self.mirror.close)
        self.mirror.join(invite(self.office)).check()
        self.mirror.start()
        wait_for(lambda: (self.state().get("machines") or {}).get("mirror") and self.state()["machines"]["production"], "production to know its mirror", PATIENCE)

    def state(self):
        done = self.office.run("--json", "mirror", "status")
        return done.json() if done.code == 0 else {}

    def beat(self, **fields):
        """As the mirror's node sends it."""
        secret = (self.mirror.data / "secrets" / "pair").read_text().strip()
        body = {"received": "0/1000000", "replayed": "0/1000000", "timeline": "1", "streaming": True, "in_recovery": True, "version": "0.0.1", "port": str(self.mirror.port), **fields}
        request = urllib.request.Request(f"https://127.0.0.1:{self.office.port}/api/mirror/beat", json.dumps(body).encode(), {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"})
        context = ssl.create_default_context(cafile=str(self.office.data / "tls" / "ca.crt"))
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return json.loads(answer.read())

    def test_another_program_other_libraries_and_a_missing_extension(self):
        self.mirror.stop()
        machine = self.beat()["machine"]
        self.assertEqual(machine["options"].get("verbund.toml mirror.listen"), None, "a machine's own is not sent")
        machine["program"] = "0.0.1"
        machine["name"] = "spiegel"
        machine["server"]["version"] = "15.1"
        machine["server"]["extensions"] = [[database, name, version, ""] for database, name, version, _ in machine["server"]["extensions"]]
        machine["disk"] = {"free_bytes": "1000000", "total_bytes": "1000000000000", "lasts_s": 3600}
        self.assertTrue(machine["server"]["extensions"])
        self.assertTrue(machine["server"]["collations"])
        machine["server"]["collations"] = [[database, name, "2.36", "2.41"] for database, name, _, _ in machine["server"]["collations"]]
        self.beat(machine=machine)
        findings = self.state()["findings"]
        kinds = {each["kind"]: each["severity"] for each in findings}
        self.assertEqual({kind: kinds.get(kind) for kind in ("program", "postgres", "extension", "collation", "disk")},
                         {"program": "warning", "postgres": "warning", "extension": "danger", "collation": "danger", "disk": "danger"}, findings)
        step = self.office.run("--json", "mirror", "upgrade").check().json()
        self.assertEqual((step["step"], step["mirror"]["postgres"]), ("update_mirror", "15.1"))
        self.assertIn("spiegel ist der Spiegelserver, und älter", german(self.office, "mirror", "upgrade"))
        shown = german(self.office, "mirror", "preflight")
        self.assertRegex(shown, r"✗  der Spiegelserver hat die Dateien aller Erweiterungen: die Dateien der Erweiterung plpgsql .* fehlen auf dem Spiegelserver")
        self.assertRegex(shown, r"!  beide Rechner haben dieselbe Version von PostgreSQL: PostgreSQL ist auf dem Produktivserver 15\.\d+ und auf dem Spiegelserver 15\.1")
        self.assertIn("zuerst den Spiegelserver", german(self.office, "mirror", "status"))
        refused = self.office.run("--json", "mirror", "switchover")
        self.assertEqual(refused.code, 4)
        self.assertRegex(json.loads(refused.output)["error"]["message"], "switchover: (the files of extension|the sort order|the mirror's disk)")
        anyway = self.office.run("--json", "mirror", "switchover", "--anyway")
        self.assertNotRegex(json.loads(anyway.output.splitlines()[-1])["error"]["message"], "extension|sort order|disk", "asked, and refused by the pair's rules: its mirror is away")

    def test_a_mirror_with_an_older_program_is_heard_as_before(self):
        self.mirror.stop()
        answer = self.beat()
        self.assertIn("position", answer)
        wait_for(lambda: self.state()["mirror"]["version"] == "0.0.1", "production to hear it")
        self.beat(machine={"name": 7})
        self.assertEqual(self.state()["mirror"]["promote_ms"], None)


if __name__ == "__main__":
    unittest.main()
