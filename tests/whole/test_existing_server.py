"""An existing PostgreSQL server instead of an owned one (S13, B1): used as it is, each missing setting named."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import unittest

from office import Office

BINARIES = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


class SomebodyElsesServer:
    """A server as another program of the house runs it; ended by its own pg_ctl."""

    def __init__(self, wal_level):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="verbund-other-"))
        self.user = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(self.directory, self.user)
        self.call("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8")
        self.call("pg_ctl", "-D", self.data, "-w", "-l", str(self.directory / "log"), "-o",
                  f"-c listen_addresses= -k {self.directory} -c wal_level={wal_level} -c fsync=off", "start")
        self.sql("CREATE DATABASE kanzlei", "postgres")
        self.sql("CREATE TABLE akte (nummer int PRIMARY KEY, betreff text)")

    @property
    def data(self):
        return str(self.directory / "data")

    def call(self, program, *words):
        argv = [str(BINARIES / program), *words]
        if self.user:
            argv = ["runuser", "-u", self.user, "--", *argv]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", timeout=120)

    def sql(self, statement, database="kanzlei"):
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.directory), "-U", "postgres",
                               "-d", database, "-c", statement], check=True, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    @property
    def connection(self):
        return f"host={self.directory} user=postgres dbname=kanzlei"

    def close(self):
        self.call("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.directory, ignore_errors=True)


RECORD = """
[[record]]
type = "akte"
label = "Akte"
table = "public.akte"
label_sql = "betreff"
group_sql = "'Akten'"
search = ["betreff"]
"""


class ExistingServer(unittest.TestCase):
    def office_on(self, server):
        office = Office(demo=None)
        office.run("init", "--database", server.connection).check()
        config = office.data / "config" / "verbund.toml"
        config.write_text(config.read_text(encoding="utf-8") + RECORD, encoding="utf-8")
        return office

    def test_changes_of_a_database_that_somebody_else_owns_are_announced(self):
        server = SomebodyElsesServer("logical")
        office = self.office_on(server)
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

    def test_a_missing_setting_is_named_with_the_statement_to_run(self):
        server = SomebodyElsesServer("replica")
        office = self.office_on(server)
        try:
            outcome = office.run("node", "--listen", "127.0.0.1:0")
            self.assertEqual(outcome.code, 20, outcome.errors)
            self.assertIn("wal_level", outcome.errors)
            self.assertIn("ALTER SYSTEM SET wal_level", outcome.errors)
        finally:
            office.close()
            server.close()


if __name__ == "__main__":
    unittest.main()
