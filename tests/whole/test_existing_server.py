"""An existing PostgreSQL server instead of an owned one (S13, B1): used as it is, each missing setting named, left without a trace."""
import json
import os
import pty
import subprocess
import unittest

from office import Office, Program, BINARY, wait_for
from somebody_elses_server import RECORD, SomebodyElsesServer

# As `verbund guard enable` leaves it, in short.
GUARD = """
CREATE SCHEMA verbund_guard;
CREATE FUNCTION verbund_guard.akte() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER verbund BEFORE INSERT ON akte FOR EACH ROW EXECUTE FUNCTION verbund_guard.akte();
CREATE FUNCTION verbund.use_lock(VARIADIC tokens bigint[]) RETURNS void LANGUAGE sql AS '';
"""


def configure(office, text):
    config = office.data / "config" / "verbund.toml"
    config.write_text(config.read_text(encoding="utf-8") + text, encoding="utf-8")


def office_on(server, records=RECORD, user="postgres"):
    office = Office(demo=None)
    office.run("init", "--database", server.connection_as(user)).check()
    configure(office, records)
    return office


class ExistingServer(unittest.TestCase):
    def test_changes_of_a_database_that_somebody_else_owns_are_announced(self):
        server = SomebodyElsesServer("logical")
        office = office_on(server)
        try:
            office.start()
            station = office.workstation("Sekretariat").keep_alive()
            server.sql("INSERT INTO akte VALUES (7, 'Müller gegen Maier')")
            event = station.event("changes")
            self.assertEqual([(c["key"], c["op"]) for c in event["changes"]], [("akte/7", "insert")])
            self.assertEqual(server.sql("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), "0")
            office.stop()
            self.assertEqual(server.sql("SELECT count(*) FROM akte"), "1", "the server runs on: it is not ours to stop")
        finally:
            office.close()
            server.close()

    def test_every_missing_thing_is_named_at_once_with_its_statement(self):
        server = SomebodyElsesServer("replica", {"max_replication_slots": 1, "max_wal_senders": 1},
                                     schema="CREATE SCHEMA labor; CREATE ROLE besitzer; CREATE ROLE \"Verbund-Dienst\" LOGIN;"
                                            "CREATE TABLE akte (nummer int PRIMARY KEY, betreff text);"
                                            "CREATE TABLE labor.probe (nummer int PRIMARY KEY, akte int REFERENCES akte);"
                                            "CREATE TABLE labor.zettel (akte int REFERENCES akte);"
                                            "ALTER TABLE akte ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
                                            "ALTER TABLE akte OWNER TO besitzer; ALTER TABLE labor.probe OWNER TO besitzer;"
                                            "CREATE PUBLICATION verbund; CREATE DATABASE \"SIQVersions\"".replace(
                                                "CREATE DATABASE", "\\connect postgres\nCREATE DATABASE"))
        server.sql("REVOKE CREATE ON DATABASE kanzlei FROM PUBLIC")
        office = office_on(server, RECORD + 'children = ["labor.probe.akte", "labor.zettel.akte"]\n', "Verbund-Dienst")
        try:
            guarded = server.sql("SELECT 1 FROM pg_settings WHERE name = 'output_plugin_libraries'") == "1"  # newer minor releases
            if guarded:  # only privileged roles can see it
                server.sql("ALTER SYSTEM SET output_plugin_libraries = 'wal2json'")
                server.sql("SELECT pg_reload_conf()")
                wait_for(lambda: server.sql("SHOW output_plugin_libraries") == "wal2json", "the server reads its settings again")
                plan = office.run("--json", "up", "--check", "--database", server.connection).json()["preflight"]
                self.assertIn("ALTER SYSTEM SET output_plugin_libraries = 'pgoutput', 'wal2json';", [item["statement"] for item in plan["missing"]])
                server.sql("ALTER SYSTEM RESET output_plugin_libraries")
            before = server.catalog()
            words = ("up", "--check", "--database", server.connection_as("Verbund-Dienst"))
            checked = office.run("--json", *words)
            self.assertEqual(checked.code, 20, checked.errors)
            plan = checked.json()["preflight"]
            self.assertFalse(plan["ready"])
            missing = {item["name"]: item for item in plan["missing"]}
            self.assertEqual(set(missing), {"wal_level", "max_replication_slots", "max_wal_senders", "replication", "create", "createdb",
                                            "publication_taken", "database_taken", "table_owner", "schema_usage", "row_security"})
            self.assertEqual(missing["wal_level"]["statement"], "ALTER SYSTEM SET wal_level = 'logical';")
            self.assertEqual(missing["wal_level"]["takes_effect"], "restart")
            self.assertEqual(missing["table_owner"]["statement"], 'GRANT "besitzer" TO "Verbund-Dienst";')
            self.assertIn("2 tables", missing["table_owner"]["what"])
            self.assertEqual([item["name"] for item in plan["advice"]], ["max_slot_wal_keep_size", "key_trigger"])
            self.assertIsNone(plan["creates"]["event_trigger"], "only a superuser may create one")
            self.assertEqual(plan["captured"], ["akte", "labor.probe"])
            self.assertEqual([item["table"] for item in plan["excluded"]], ["labor.zettel"])

            refused = office.run("node", "--listen", "127.0.0.1:0", LC_ALL="de_DE.UTF-8", LANGUAGE="de")
            self.assertEqual(refused.code, 20, refused.errors)
            for item in plan["missing"]:
                self.assertIn(item["statement"], refused.errors)
            self.assertIn("PostgreSQL neu starten", refused.errors)
            self.assertEqual(server.catalog(), before, "looking changes nothing")

            # Whoever does what is written there is done.
            server.sql("DROP PUBLICATION verbund")
            for item in plan["missing"]:
                if item["name"] != "publication_taken" and item["statement"]:
                    server.sql(item["statement"])
            for name in ("wal_level", "max_replication_slots", "max_wal_senders"):
                del server.settings[name]
            server.stop()
            server.start()
            self.assertTrue(office.run("--json", "feed", "preflight").check().json()["preflight"]["ready"])
            office.start()
            office.workstation("Sekretariat").close()
        finally:
            office.close()
            server.close()

    def test_nothing_is_created_before_somebody_agrees(self):
        server = SomebodyElsesServer()
        office = office_on(server)
        try:
            before = server.catalog()
            refused = office.run("up", "--listen", "127.0.0.1:0")
            self.assertEqual(refused.code, 4, refused.errors)
            self.assertIn("publication verbund in database kanzlei, of 1 tables", refused.output)
            self.assertIn("SIQVersions", refused.output)
            self.assertIn("event trigger verbund_keys_of_verbund", refused.output)
            self.assertIn("--yes", refused.errors)
            self.assertEqual(server.catalog(), before)
            office.start()
            office.stop()
            # The consent is kept: a service manager's start asks nobody.
            node = Program([BINARY, "--dir", str(office.data), "--json", "node", "--listen", "127.0.0.1:0"])
            office.commands.append(node)
            self.assertTrue(json.loads(node.line(lambda line: '"started"' in line or '"error"' in line)).get("started"))
            self.assertEqual(node.end(), 0)
        finally:
            office.close()
            server.close()

    def test_a_person_is_asked_at_the_terminal(self):
        server = SomebodyElsesServer()
        office = office_on(server)
        try:
            for answer, agreed in (("n", False), ("j", True)):
                terminal, end = pty.openpty()
                node = subprocess.Popen([BINARY, "--dir", str(office.data), "up", "--listen", "127.0.0.1:0"], stdin=end, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env={**os.environ, "LC_ALL": "de_DE.UTF-8"})
                os.close(end)
                os.write(terminal, answer.encode() + b"\n")
                said = ""
                for line in node.stdout:
                    said += line
                    if "Verbund läuft" in line:
                        node.terminate()
                self.assertEqual(node.wait(60), 0 if agreed else 4, said)
                self.assertIn("Das anlegen? [j/N]", said)
                self.assertEqual("Verbund läuft" in said, agreed)
                self.assertEqual((office.data / "adoption.json").exists(), agreed)
                node.stdout.close()
                os.close(terminal)
            consent = json.loads((office.data / "adoption.json").read_text())
            self.assertEqual((consent["slot"], consent["databases"]), ("verbund_feed", ["verbund_mid", "SIQVersions"]))
        finally:
            office.close()
            server.close()

    def test_detach_leaves_the_server_as_it_was(self):
        server = SomebodyElsesServer(schema="CREATE TABLE akte (nummer int PRIMARY KEY, betreff text); INSERT INTO akte VALUES (1, 'x');"
                                            "CREATE SCHEMA verbund; CREATE TABLE verbund.mitglied (name text PRIMARY KEY)")
        office = office_on(server)
        try:
            before = server.catalog()
            office.start()
            server.sql(GUARD)
            running = office.run("detach", "--databases", "--yes")
            self.assertEqual(running.code, 4, "a running node is not cut off")
            office.kill()
            self.assertEqual(office.run("detach").code, 4, "without a terminal nobody agrees")
            removed = office.run("--json", "detach", "--yes").check().json()["removed"]
            self.assertEqual([(item["kind"], item["name"]) for item in removed],
                             [("trigger", "verbund (public.akte)"), ("schema", "verbund_guard"), ("function", "verbund.use_lock"),
                              ("replication slot", "verbund_feed"), ("publication", "verbund"),
                              ("event trigger", "verbund_keys_of_verbund"), ("function", "verbund_feed.verbund_keys_of_verbund"),
                              ("schema", "verbund_feed")])
            self.assertIn("database|verbund_mid", server.catalog())
            self.assertEqual([item["name"] for item in office.run("--json", "detach", "--databases", "--yes").check().json()["removed"]],
                             ["verbund_mid", "SIQVersions"])
            self.assertEqual(server.catalog(), before)
            self.assertEqual(office.run("--json", "detach", "--databases", "--yes").check().json()["removed"], [])
            office.start()
            station = office.workstation("Sekretariat").keep_alive()
            server.sql("UPDATE akte SET betreff = 'y'")
            station.event("changes")
            office.kill()
            # The installation is lost, too.
            office.run("detach", "--database", server.connection, "--databases", "--yes").check()
            self.assertEqual(server.catalog(), before)
        finally:
            office.close()
            server.close()

    def test_a_dropped_key_never_fails_the_application(self):
        server = SomebodyElsesServer()
        office = office_on(server)

        def state():
            return {table["table"]: table for table in office.run("--json", "feed", "tables").check().json()["tables"]}["akte"]

        try:
            server.sql("CREATE TABLE notiz (nummer int PRIMARY KEY, akte int REFERENCES akte)")
            planned = office.run("--json", "up", "--check", "--database", server.connection).json()["preflight"]["creates"]
            self.assertEqual(planned["event_trigger"], "verbund_keys_of_verbund")
            office.start()
            station = office.workstation("Sekretariat").keep_alive()
            server.sql("INSERT INTO akte VALUES (7, 'a')")
            server.sql("ALTER TABLE akte DROP CONSTRAINT akte_pkey CASCADE; UPDATE akte SET betreff = 'b'; INSERT INTO akte VALUES (8, 'c')")
            server.sql("UPDATE akte SET betreff = 'd'; DELETE FROM akte WHERE nummer = 7")
            wait_for(lambda: state()["state"] == "paused", "the table rests")
            self.assertIn("no primary key", state()["reason"])
            server.sql("ALTER TABLE akte ADD PRIMARY KEY (nummer)")
            told = station.event("changes", lambda event: any(change["key"] == "akte/8" for change in event["changes"]))
            self.assertEqual(sorted((c["key"], c["op"]) for c in told["changes"]), [("akte/7", "delete"), ("akte/8", "insert")])
            # Also while nobody reads the log.
            office.stop()
            server.sql("ALTER TABLE akte DROP CONSTRAINT akte_pkey")
            server.sql("UPDATE akte SET betreff = 'e'")
            # A dump of the source takes the trigger along, which hurts nobody elsewhere.
            self.restore_elsewhere(server)
        finally:
            office.close()
            server.close()

    def test_a_renamed_table_is_followed_and_the_next_start_says_its_name(self):
        server = SomebodyElsesServer()
        office = office_on(server)
        try:
            office.start()
            station = office.workstation("Sekretariat").keep_alive()
            server.sql("ALTER TABLE akte RENAME TO \"Vorgänge\"")
            wait_for(lambda: "Vorgänge" in [table["table"] for table in office.run("--json", "feed", "tables").check().json()["tables"]], "the new name")
            server.sql("INSERT INTO \"Vorgänge\" VALUES (7, 'a')")
            station.event("changes", lambda event: [change["key"] for change in event["changes"]] == ["akte/7"])
            office.stop()
            server.sql("ALTER TABLE \"Vorgänge\" RENAME TO vorgang")
            refused = office.run("node", "--listen", "127.0.0.1:0")
            self.assertNotEqual(refused.code, 0)
            self.assertIn("there is no table public.akte", refused.errors)
            self.assertIn("Table public.akte is called public.vorgang now: write public.vorgang in its place in config/verbund.toml.", refused.errors)
            config = office.data / "config" / "verbund.toml"
            config.write_text(config.read_text(encoding="utf-8").replace('table = "public.akte"', 'table = "public.vorgang"'), encoding="utf-8")
            office.start()
            station = office.workstation("Archiv").keep_alive()
            server.sql("UPDATE vorgang SET betreff = 'b'")
            station.event("changes", lambda event: [change["key"] for change in event["changes"]] == ["akte/7"])
            self.assertEqual(server.sql("SELECT count(*) FROM feed.source_table", "verbund_mid"), "1", "the same shadow")
        finally:
            office.close()
            server.close()

    def restore_elsewhere(self, server):
        dump = subprocess.run(server.argv("pg_dump", "-h", str(server.directory), "-U", "postgres", server.database), check=True,
                              capture_output=True, text=True, cwd="/", timeout=120).stdout
        self.assertIn("CREATE EVENT TRIGGER verbund_keys_of_verbund", dump)
        other = SomebodyElsesServer("replica", schema="SELECT 1")
        try:
            other.sql(dump)
            other.sql("ALTER PUBLICATION verbund ADD TABLE notiz; ALTER TABLE notiz DROP CONSTRAINT notiz_pkey; UPDATE notiz SET akte = 1; UPDATE akte SET betreff = 'f'; DROP TABLE notiz")
        finally:
            other.close()

    def test_detach_takes_an_enforced_guard_along_and_writes_go_on(self):
        server = SomebodyElsesServer(schema="CREATE TABLE akte (nummer int PRIMARY KEY, betreff text); INSERT INTO akte VALUES (1, 'x');"
                                            "CREATE TABLE blatt (nr int PRIMARY KEY, akte int REFERENCES akte)")
        office = office_on(server, RECORD + 'children = ["public.blatt.akte"]\n')
        writer = None
        try:
            before = server.catalog()
            office.start()
            office.run("guard", "enable", "akte", "--enforce").check()
            station = office.workstation("Sekretariat").keep_alive()
            token = station.ask("lock", keys=["akte/1"])["token"]
            with self.assertRaisesRegex(AssertionError, "verbund guard: UPDATE on public.akte refused"):
                server.sql("UPDATE akte SET betreff = 'y'")
            argv, environment = server.psql()
            writer = subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            writer.stdin.write(f"BEGIN; SELECT verbund.use_lock({token}); UPDATE akte SET betreff = 'offen';\n\\echo written\n")
            writer.stdin.flush()
            self.assertTrue(any("written" in line for line in iter(writer.stdout.readline, "")))
            office.kill()
            # A busy table keeps its trigger for now, but nothing is refused any more.
            self.assertEqual(office.run("detach", "--yes").code, 4)
            server.sql("INSERT INTO blatt VALUES (1, NULL)")
            writer.communicate("COMMIT;\n", timeout=40)
            removed = office.run("--json", "detach", "--databases", "--yes").check().json()["removed"]
            self.assertIn({"kind": "function", "name": "verbund.use_lock"}, removed)
            self.assertEqual(server.catalog(), before)
            server.sql("UPDATE akte SET betreff = 'frei'; INSERT INTO blatt VALUES (2, 1); TRUNCATE blatt; DELETE FROM akte")
        finally:
            if writer and writer.poll() is None:
                writer.kill()
                writer.wait()
            office.close()
            server.close()

    def test_record_types_are_proposed_from_the_catalog(self):
        server = SomebodyElsesServer(schema='CREATE TABLE "Patient" (nr int PRIMARY KEY, "Nachname" text, "Vorname" text, "Geburtsdatum" date);'
                                            'CREATE TABLE "Befund" (nr int PRIMARY KEY, patient int NOT NULL REFERENCES "Patient", "Straße" text)')
        office = Office(demo=None)
        try:
            proposed = office.run("feed", "suggest", "--database", server.connection).check().output
            office.run("init", "--database", server.connection).check()
            configure(office, proposed)
            office.start()
            station = office.workstation("Labor").keep_alive()
            server.sql("""INSERT INTO "Patient" VALUES (7, 'Groß', 'Änne', '1950-12-31'); INSERT INTO "Befund" VALUES (1, 7, 'Weg')""")
            event = station.event("changes", lambda e: any("Befund" in c.get("tables", []) for c in e["changes"]))
            self.assertEqual([c["key"] for c in event["changes"]], ["patient/7"])
        finally:
            office.close()
            server.close()


if __name__ == "__main__":
    unittest.main()
