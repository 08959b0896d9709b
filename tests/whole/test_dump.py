"""dumpSIQ, restoreSIQ, dumpSIQVersions, restoreSIQVersions (S10 to S12): one file per database, and back without losing the old one."""
import datetime
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import unittest

from office import BINARY, Office, Outcome, wait_for
from somebody_elses_server import BINARIES, SomebodyElsesServer

NAMES = pathlib.Path(BINARY).parent


def call(name, office, *words, stdin=None, **environment):
    """One of the four names, told by VERBUND_DIR where the installation is."""
    done = subprocess.run([str(NAMES / name), *map(str, words)], input=stdin, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "VERBUND_DIR": str(office.data), **environment})
    return Outcome(done)


def visible(directory):
    return sorted(path.name for path in directory.iterdir() if path.suffix != ".sha256")


class Medium:
    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="verbund-medium-", dir="/tmp")
        self.path = pathlib.Path(self.directory.name)

    def dump(self, office, name="dumpSIQ"):
        before = set(visible(self.path))
        call(name, office, "-d", BINARIES, "-b", self.path).check()
        return self.path / (set(visible(self.path)) - before).pop()


class Dumping(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def setUp(self):
        self.medium = Medium()
        self.addCleanup(self.medium.directory.cleanup)

    def test_files_are_named_as_required_and_read_by_debians_programs(self):
        today, host = datetime.date.today().strftime("%Y%m%d"), socket.gethostname()
        files = [self.medium.dump(self.office).name, self.medium.dump(self.office).name, self.medium.dump(self.office, "dumpSIQVersions").name]
        self.assertEqual(files, [f"{today}_praxis_{host}.backup", f"{today}_praxis_{host}_2.backup", f"{today}_SIQVersions_{host}.backup"])
        for name in files:
            self.assertEqual((self.medium.path / name).stat().st_mode & 0o777, 0o600)
            subprocess.run(["sha256sum", "-c", "--quiet", f"{name}.sha256"], cwd=self.medium.path, check=True)
            listed = subprocess.run([BINARIES / "pg_restore", "-l", self.medium.path / name], capture_output=True, text=True, check=True).stdout
            self.assertIn("Format: CUSTOM", listed)
        again = self.office.run("--json", "dump", "-b", str(self.medium.path)).check().json()["dumped"]
        self.assertEqual((again["database"], again["file"]), ("praxis", str(self.medium.path / f"{today}_praxis_{host}_3.backup")))
        self.assertEqual(int(again["bytes"]), (self.medium.path / f"{today}_praxis_{host}_3.backup").stat().st_size)

    def test_what_is_mandatory_is_asked_for_and_nothing_half_is_left(self):
        self.assertEqual(call("dumpSIQ", self.office, "-b", self.medium.path).code, 2)
        self.assertEqual(call("dumpSIQ", self.office, "-d", BINARIES).code, 2)
        self.assertEqual(call("restoreSIQ", self.office, "-d", BINARIES).code, 2)
        self.assertEqual(call("restoreSIQ", self.office, "-f", "x").code, 2)
        missing = call("dumpSIQ", self.office, "-d", BINARIES, "-b", self.medium.path / "nowhere")
        self.assertEqual(missing.code, 4)
        self.assertIn("no such directory", missing.errors)
        wrong = call("dumpSIQ", self.office, "-d", "/usr/share", "-b", self.medium.path)
        self.assertEqual(wrong.code, 4)
        self.assertIn("pg_dump", wrong.errors)
        unmounted = call("dumpSIQ", self.office, "-d", BINARIES, "-b", self.office.directory, "--must-be-mounted")
        self.assertEqual(unmounted.code, 30, unmounted.errors)
        config = self.office.data / "config" / "backup.toml"
        known = config.read_text() if config.exists() else None
        config.write_text(f'[backup]\ntarget = "{self.office.directory}"\ntarget_is_mount = true\n')
        try:
            unmounted = call("dumpSIQ", self.office, "-d", BINARIES, "-b", self.office.directory)
        finally:
            config.unlink() if known is None else config.write_text(known)
        self.assertEqual(unmounted.code, 30, unmounted.errors)
        german = call("dumpSIQ", self.office, "-d", BINARIES, "-b", self.medium.path / "nirgends", LC_ALL="de_DE.UTF-8")
        self.assertIn("Verzeichnis", german.errors)
        dry = call("dumpSIQ", self.office, "-d", BINARIES, "-b", self.medium.path, "--dry-run").check()
        self.assertIn("praxis", dry.output)
        self.assertEqual(list(self.medium.path.iterdir()), [])

    def test_no_password_in_any_process_and_a_killed_dump_is_cleared_away(self):
        fakes = self.medium.path / "programs"
        fakes.mkdir()
        (fakes / "pg_restore").symlink_to(BINARIES / "pg_restore")
        seen = self.medium.path / "seen"
        (fakes / "pg_dump").write_text("#!/bin/sh\nif [ \"$1\" = --version ]; then exec %s --version; fi\n"
                                       "tr '\\0' '\\n' < /proc/$$/cmdline > %s\ntr '\\0' '\\n' < /proc/$$/environ >> %s\necho $$ > %s.pid\nprintf PGDMP\nexec sleep 600\n"
                                       % (BINARIES / "pg_dump", seen, seen, seen))
        (fakes / "pg_dump").chmod(0o755)
        target = self.medium.path / "target"
        target.mkdir()
        program = subprocess.Popen([str(NAMES / "dumpSIQ"), "-d", str(fakes), "-b", str(target)],
                                   env={**os.environ, "VERBUND_DIR": str(self.office.data)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        child = int(wait_for(lambda: pathlib.Path(f"{seen}.pid").exists() and pathlib.Path(f"{seen}.pid").read_text(), "the child's pid"))
        secrets = [(self.office.data / "secrets" / role).read_text().strip() for role in ("verbund", "verbund_node", "praxis")]
        for secret in secrets:
            self.assertNotIn(secret, seen.read_text())
        program.kill()
        program.wait()
        wait_for(lambda: not pathlib.Path(f"/proc/{child}").exists() or "Z" in pathlib.Path(f"/proc/{child}/stat").read_text().split(")")[1][:3], "the child to die")
        self.assertEqual([path.suffix for path in target.iterdir()], [".partial"])
        interrupted = subprocess.Popen([str(NAMES / "dumpSIQ"), "-d", str(fakes), "-b", str(target)],
                                       env={**os.environ, "VERBUND_DIR": str(self.office.data)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: pathlib.Path(f"{seen}.pid").read_text().strip() not in ("", str(child)), "another child")
        interrupted.send_signal(signal.SIGINT)
        self.assertEqual(interrupted.wait(60), 4)
        self.assertEqual(list(target.iterdir()), [])

    def test_a_full_medium_is_said_and_left_clean(self):
        target = self.medium.path / "small"
        target.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "verbund-small-medium", target], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", target], check=True)
        self.office.psql("CREATE TABLE IF NOT EXISTS gross (x text); INSERT INTO gross SELECT md5(g::text) FROM generate_series(1, 20000) g")
        self.addCleanup(self.office.psql, "DROP TABLE gross")
        full = call("dumpSIQ", self.office, "-d", BINARIES, "-b", target, "--must-be-mounted")
        self.assertEqual(full.code, 20, full.errors)
        self.assertIn("No space left", full.errors)
        self.assertEqual(list(target.iterdir()), [])


class Restoring(unittest.TestCase):
    def setUp(self):
        self.medium = Medium()
        self.addCleanup(self.medium.directory.cleanup)
        self.office = Office().start()
        self.addCleanup(self.office.close)

    def restore(self, name, file, *words, **more):
        return call(name, self.office, "-d", BINARIES, "-f", file, *words, **more)

    def name_of(self, patient):
        return self.office.psql(f"SELECT family_name FROM patient WHERE id = '{patient}'")

    def superuser(self, sql):
        secret = (self.office.data / "secrets" / "verbund").read_text().strip()
        return subprocess.run(["psql", "-X", "-q", "-A", "-t", "-h", str(self.office.data / "postgres" / "run"), "-U", "verbund", "-d", "postgres", "-c", sql],
                              env={**os.environ, "PGPASSWORD": secret}, capture_output=True, text=True, check=True).stdout.strip()

    def test_under_a_running_node_workstations_are_told_and_everything_goes_on(self):
        office = self.office
        patient = office.a_patient()
        before = self.name_of(patient)
        file = self.medium.dump(office)
        office.psql(f"UPDATE patient SET family_name = 'Später' WHERE id = '{patient}'")
        station = office.workstation("Empfang 1").keep_alive()
        self.assertTrue(station.ask("lock", keys=[f"patient/{patient}"])["ok"])
        program = subprocess.Popen(["psql", "-X", "-h", str(office.data / "postgres" / "run"), "-U", "praxis", "-d", "praxis", "-c", "SELECT pg_sleep(600)"],
                                   env={**os.environ, "PGPASSWORD": (office.data / "secrets" / "praxis").read_text().strip()},
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.superuser("SELECT 1 FROM pg_stat_activity WHERE query ~ 'pg_sleep\\(600' AND pid <> pg_backend_pid()"), "the application's session")
        events = len(station.events)
        done = self.restore("restoreSIQ", file, "--yes").check()
        self.assertNotIn("warning", done.errors)
        self.assertNotEqual(program.wait(60), 0)
        self.assertEqual(self.name_of(patient), before)
        kept = re.search(r"kept as (praxis_before_\d{12})", done.output).group(1)
        self.assertEqual(self.superuser(f"SELECT count(*) FROM pg_database WHERE datname IN ('praxis', '{kept}')"), "2")
        # The row that the restore took back is a change like any other.
        station.event("changes", lambda event: any(change["key"] == f"patient/{patient}" for change in event["changes"]), after=events)
        events = len(station.events)
        office.psql(f"UPDATE patient SET family_name = 'Danach' WHERE id = '{patient}'")
        station.event("changes", lambda event: any(change["key"] == f"patient/{patient}" for change in event["changes"]), after=events)
        self.assertTrue(station.ask("unlock", keys=[f"patient/{patient}"])["ok"])
        self.assertEqual(self.superuser("SELECT database FROM pg_replication_slots WHERE slot_name = 'verbund_feed'"), "praxis")
        audit = office.run("--json", "audit").check().output
        self.assertIn("database.restored", audit)
        station.close()

    def test_without_a_node_the_server_is_started_for_it(self):
        office = self.office
        patient = office.a_patient()
        before = self.name_of(patient)
        office.psql(f"UPDATE patient SET family_name = 'Später' WHERE id = '{patient}'")
        office.stop()
        self.assertIsNone(office.postmaster())
        later = self.medium.dump(office)
        self.assertIsNone(office.postmaster(), "stopped again")
        office.start()
        office.psql(f"UPDATE patient SET family_name = '{before}' WHERE id = '{patient}'")
        office.stop()
        self.restore("restoreSIQ", later, "--yes", "--drop-old").check()
        office.start()
        self.assertEqual(self.name_of(patient), "Später")
        station = office.workstation("Empfang 1").keep_alive()
        office.psql(f"UPDATE patient SET family_name = 'Danach' WHERE id = '{patient}'")
        station.event("changes", lambda event: any(change["key"] == f"patient/{patient}" for change in event["changes"]))
        self.assertEqual(self.superuser("SELECT count(*) FROM pg_database WHERE datname ~ '^praxis_'"), "0")
        station.close()

    def test_erasures_outlive_an_older_versions_database(self):
        office = self.office
        patient = office.a_patient()
        key = f"patient/{patient}"
        contents = f"SELECT count(*) FROM history.version WHERE record = '{key}' AND num_nonnulls(changed, before, after) > 0"
        office.psql(f"UPDATE patient SET family_name = 'Vorher' WHERE id = '{patient}'")
        wait_for(lambda: office.psql(contents, "SIQVersions") != "0", "a version")
        source, versions = self.medium.dump(office), self.medium.dump(office, "dumpSIQVersions")
        office.psql(f"DELETE FROM patient WHERE id = '{patient}'")
        office.run("erase", key, "--reason", "auf Wunsch").check()
        self.assertEqual(office.psql(contents, "SIQVersions"), "0")
        listed = office.run("--json", "erase", "--list").check().json()["erasures"]
        # As if the list had been lost but for the database's own.
        (office.data / "history" / "erasures.jsonl").unlink()
        done = self.restore("restoreSIQVersions", versions, "--yes").check()
        self.assertNotIn("warning", done.errors)
        self.assertEqual(office.psql(contents, "SIQVersions"), "0", "erased again at once")
        again = office.run("--json", "erase", "--list").check().json()["erasures"]
        self.assertEqual([(one["key"], one["reason"]) for one in again], [(one["key"], one["reason"]) for one in listed])
        # The record itself is back with the source: a person has to know.
        warned = self.restore("restoreSIQ", source, "--yes").check()
        self.assertIn(key, warned.errors)

    def test_what_is_refused_changes_nothing(self):
        office = self.office
        patient = office.a_patient()
        file, versions = self.medium.dump(office), self.medium.dump(office, "dumpSIQVersions")
        office.psql(f"UPDATE patient SET family_name = 'Jetzt' WHERE id = '{patient}'")
        nobody = self.restore("restoreSIQ", file)
        self.assertEqual(nobody.code, 4)
        self.assertIn("nobody has agreed", nobody.errors)
        kind = self.restore("restoreSIQ", versions, "--yes")
        self.assertEqual(kind.code, 2)
        self.assertEqual(self.restore("restoreSIQVersions", file, "--yes").code, 2)
        content = file.read_bytes()
        flipped = self.medium.path / "flipped.backup"
        flipped.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
        pathlib.Path(f"{flipped}.sha256").write_text(pathlib.Path(f"{file}.sha256").read_text())
        damaged = self.restore("restoreSIQ", flipped, "--yes")
        self.assertEqual(damaged.code, 40, damaged.errors)
        cut = self.medium.path / "cut.backup"
        cut.write_bytes(content[:-1000])
        self.assertEqual(self.restore("restoreSIQ", cut, "--yes").code, 40)
        self.assertEqual(self.restore("restoreSIQ", self.medium.path / "nowhere", "--yes").code, 4)
        wrong = self.restore("restoreSIQ", file, "--yes", "-u", "praxis", "-p", "falsch")
        self.assertEqual(wrong.code, 4, wrong.errors)
        self.assertIn("-p:", wrong.errors)
        dry = self.restore("restoreSIQ", file, "--dry-run").check()
        self.assertIn("nothing was changed", dry.output)
        self.assertEqual(self.name_of(patient), "Jetzt")
        self.assertEqual(self.superuser("SELECT count(*) FROM pg_database WHERE datname ~ '^praxis_'"), "0")

    def test_options_of_old_are_understood(self):
        office = self.office
        patient = office.a_patient()
        before = self.name_of(patient)
        file, versions = self.medium.dump(office), self.medium.dump(office, "dumpSIQVersions")
        secret = (office.data / "secrets" / "verbund").read_text().strip()
        for words, stdin in ((["-p", secret], None), (["--password-file", str(office.data / "secrets" / "verbund")], None), (["--password-file", "-"], secret + "\n")):
            office.psql(f"UPDATE patient SET family_name = 'Jetzt' WHERE id = '{patient}'")
            done = self.restore("restoreSIQ", file, "-u", "verbund", *words, "-db", "template1", "--yes", "--drop-old", stdin=stdin).check()
            self.assertEqual("-p:" in done.errors, words[0] == "-p")
            self.assertEqual(self.name_of(patient), before)
        self.restore("restoreSIQVersions", versions, "-su", "verbund", "-sup", secret, "-sudb", "postgres", "--yes", "--drop-first").check()
        self.assertEqual(self.superuser("SELECT count(*) FROM pg_database WHERE datname ~ '_(before|restoring)'"), "0")


class SomebodyElses(unittest.TestCase):
    def test_a_database_on_an_existing_server_is_dumped_and_restored(self):
        server = SomebodyElsesServer(schema="CREATE TABLE akte (nummer int PRIMARY KEY, betreff text); INSERT INTO akte VALUES (1, 'damals')")
        office = Office(demo=None)
        medium = Medium()
        try:
            office.run("init", "--database", f"host={server.directory} dbname=kanzlei user=postgres").check()
            file = medium.dump(office)
            self.assertRegex(file.name, rf"^\d{{8}}_kanzlei_{re.escape(socket.gethostname())}\.backup$")
            server.sql("UPDATE akte SET betreff = 'jetzt'")
            call("restoreSIQ", office, "-d", BINARIES, "-f", file, "--yes", "--drop-old").check()
            self.assertEqual(server.sql("SELECT betreff FROM akte"), "damals")
        finally:
            office.close()
            server.close()
            medium.directory.cleanup()
