"""A PostgreSQL server as another program of the house runs it; nothing of it is Verbund's."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

BINARIES = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))

# What a value looks like must not depend on the server's or the session's settings.
EXACT_TEXT = ("-c datestyle=ISO,YMD -c intervalstyle=postgres -c extra_float_digits=3 -c timezone=UTC -c bytea_output=hex"
              " -c client_min_messages=error")

# What verbund.toml says of its table.
RECORD = """
[[record]]
type = "akte"
label = "Akte"
table = "public.akte"
label_sql = "betreff"
group_sql = "'Akten'"
search = ["betreff"]
"""


class SomebodyElsesServer:
    """Ended by its own pg_ctl."""

    def __init__(self, wal_level="logical", settings=None, database="kanzlei", schema="CREATE TABLE akte (nummer int PRIMARY KEY, betreff text)"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="verbund-other-"))
        self.user = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(self.directory, self.user)
        self.database = database
        self.settings = {"listen_addresses": "", "unix_socket_directories": str(self.directory), "wal_level": wal_level, "fsync": "off",
                         **(settings or {})}
        self.call("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8")
        self.start()
        self.sql(f"CREATE DATABASE {database}", "postgres")
        self.sql(schema)

    @property
    def data(self):
        return str(self.directory / "data")

    def argv(self, program, *words):
        argv = [str(BINARIES / program), *words]
        return ["runuser", "-u", self.user, "--", *argv] if self.user else argv

    def call(self, program, *words):
        subprocess.run(self.argv(program, *words), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", timeout=120)

    def start(self):
        words = " ".join(f"-c {name}='{value}'" for name, value in self.settings.items())
        self.call("pg_ctl", "-D", self.data, "-w", "-l", str(self.directory / "log"), "-o", words, "start")

    def stop(self, mode="fast"):
        self.call("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def psql(self, *words, user="postgres", database=None):
        """argv and environment of a psql on the server."""
        argv = ["psql", "-X", "-q", "-A", "-t", "-h", str(self.directory), "-U", user, "-d", database or self.database, *words]
        return argv, {**os.environ, "PGOPTIONS": EXACT_TEXT, "PGCLIENTENCODING": "UTF8"}

    def sql(self, statement, database=None, user="postgres"):
        argv, environment = self.psql("-v", "ON_ERROR_STOP=1", "-f", "-", user=user, database=database)
        done = subprocess.run(argv, env=environment, input=statement, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout.strip()

    def answers(self):
        argv, environment = self.psql("-c", "SELECT 1")
        return subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode == 0

    def catalog(self):
        """Everything that an adoption could leave behind: schema, publications, slots, roles, databases, settings."""
        dump = subprocess.run(self.argv("pg_dump", "--schema-only", "-h", str(self.directory), "-U", "postgres", self.database), check=True,
                              capture_output=True, text=True, cwd="/", timeout=120).stdout
        # A dump's own lines hold a random word since 15.14.
        lines = [line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
        rest = self.sql("SELECT 'slot', slot_name FROM pg_replication_slots UNION ALL SELECT 'publication', pubname FROM pg_publication"
                        " UNION ALL SELECT 'role', rolname || rolreplication || rolcreatedb FROM pg_roles"
                        " UNION ALL SELECT 'membership', roleid::regrole || ' to ' || member::regrole FROM pg_auth_members"
                        " UNION ALL SELECT 'database', datname || coalesce(datacl::text, '') FROM pg_database"
                        " UNION ALL SELECT 'setting', name || sourcefile FROM pg_settings WHERE sourcefile LIKE '%auto.conf'"
                        " UNION ALL SELECT 'trigger', tgname FROM pg_trigger WHERE NOT tgisinternal"
                        " UNION ALL SELECT 'origin', roname FROM pg_replication_origin ORDER BY 1, 2")
        return lines + rest.splitlines()

    @property
    def connection(self):
        return self.connection_as("postgres")

    def connection_as(self, user):
        return f"host={self.directory} user={user} dbname={self.database}"

    def close(self):
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
