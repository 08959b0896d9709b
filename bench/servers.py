"""The servers under measurement: a node of ours, Redis, NATS, a plain PostgreSQL. All on loopback, all in one scratch
directory, each ended by its own process id.
"""
import json
import os
import re
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time

POSTGRES = pathlib.Path("/usr/lib/postgresql/15/bin")
PATIENCE = 120.0

# Programs of the benchmark don't beat: what is measured is the load asked for. So sessions live longer than any run.
LONG_LIVES = {"heartbeat.ms": 60000, "suspect.ms": 120000, "lease.ms": 600000, "reconnect.ms": 660000}

RECORDS = """
[[record]]
type = "account"
table = "public.pgbench_accounts"

[[record]]
type = "teller"
table = "public.pgbench_tellers"

[[record]]
type = "branch"
table = "public.pgbench_branches"

[[record]]
type = "posting"
table = "public.pgbench_history"

[[record]]
type = "bulk"
table = "public.bench_bulk"
"""


def wait_for(condition, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise RuntimeError(f"waited {patience:.0f} s in vain for: {what}")
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port, request, begin):
    """Does a server on `port` answer `request` with something that begins so?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(request)
            return connection.recv(64).startswith(begin)
    except OSError:
        return False


def find(program):
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


class Process:
    """A server of which we know the process id and the log."""

    def __init__(self, argv, log, **more):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out, **more)
        self.pid = self.process.pid

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Redis(Process):
    name, wire = "Redis", "redis"
    program = "redis-server"

    def __init__(self, scratch):
        self.port = free_port()
        super().__init__([find(self.program), "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                          "--maxclients", 15000, "--dir", scratch], scratch / "redis.log")
        wait_for(lambda: answers(self.port, b"PING\r\n", b"+PONG"), "Redis")


class Nats(Process):
    name, wire = "NATS", "nats"
    program = "nats-server"

    def __init__(self, scratch):
        self.port = free_port()
        super().__init__([find(self.program), "-a", "127.0.0.1", "-p", self.port], scratch / "nats.log")
        wait_for(lambda: answers(self.port, b"", b"INFO"), "NATS")


class Node:
    """An installation in the scratch directory; started and ended as often as wanted."""

    def __init__(self, binary, directory):
        self.binary, self.directory = str(binary), directory
        self.process = None
        self.port = self.pid = 0
        self._run("init", "--listen", "127.0.0.1:0")
        with open(directory / "config" / "P2P.properties", "r+", encoding="utf-8") as file:
            lines = [line for line in file if line.split("=")[0].strip() not in LONG_LIVES]
            file.seek(0)
            file.truncate()
            file.writelines(lines + [f"{key} = {value}\n" for key, value in LONG_LIVES.items()])

    def _run(self, *arguments):
        subprocess.run([self.binary, "--dir", str(self.directory), *arguments], check=True, stdout=subprocess.DEVNULL)

    def start(self):
        self.process = subprocess.Popen([self.binary, "--dir", str(self.directory), "--json", "up", "--demo", "--listen",
                                         "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=open(self.directory / "node.err", "ab"))
        self.pid = self.process.pid
        for line in self.process.stdout:
            if b'"started"' in line:
                self.port = json.loads(line)["port"]
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return self
        self.process.wait()
        raise RuntimeError(f"the node did not start: {(self.directory / 'node.err').read_text()[-2000:]}")

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.process.kill()  # the owned PostgreSQL is then an orphan, which the next start of a node clears up
                self.process.wait()
        self.process = None

    def restart(self):
        self.end()
        return self.start()

    @property
    def token_file(self):
        return self.directory / "client.toml"

    def add_records(self):
        """Makes pgbench's tables and bench_bulk record types: they are captured from the next start on."""
        with open(self.directory / "config" / "verbund.toml", "a", encoding="utf-8") as file:
            file.write(RECORDS)

    def keep_history(self, types):
        """Of these record types, from the next start on. Other figures are measured without history."""
        path = self.directory / "config" / "verbund.toml"
        text = re.sub(r"^(\[history\]\n)(#? ?types = .*\n)?", lambda found: f"{found[1]}types = {json.dumps(types)}\n",
                      path.read_text(encoding="utf-8"), flags=re.M)
        path.write_text(text, encoding="utf-8")

    def checkpoint(self):
        """Or the checkpoint that one measurement earns slows the next one's fsyncs."""
        self.database("verbund").sql("CHECKPOINT")

    def database(self, role="praxis"):
        return Database(str(self.directory / "postgres" / "run"), 5432, "praxis", role,
                        (self.directory / "secrets" / role).read_text().strip(), self.directory / f"pgpass.{role}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Database:
    """How to reach a database. The password goes through a file that only we can read."""

    def __init__(self, host, port, name, user, password="", passfile=None):
        self.host, self.port, self.name, self.user, self.passfile = host, port, name, user, passfile
        if passfile:
            with open(os.open(passfile, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(f"*:*:*:*:{password}\n")

    @property
    def conninfo(self):
        passfile = f" passfile={self.passfile}" if self.passfile else ""
        return f"host={self.host} port={self.port} dbname={self.name} user={self.user}{passfile}"

    @property
    def environment(self):
        return {**os.environ, "PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user, "PGDATABASE": self.name,
                "LC_ALL": "C.UTF-8", **({"PGPASSFILE": str(self.passfile)} if self.passfile else {})}

    def program(self, name, *arguments, **more):
        return subprocess.run([str(POSTGRES / name), *map(str, arguments)], env=self.environment, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)

    def sql(self, text):
        return self.program("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text).stdout.strip()


class PlainPostgres:
    """A server with the settings of a node's own one and no node beside it."""

    def __init__(self, scratch, like):
        self.data, self.run = scratch / "plain" / "data", scratch / "plain" / "run"
        self.as_user = {}
        for directory in (self.data, self.run):
            directory.mkdir(parents=True)
        if os.geteuid() == 0:  # PostgreSQL refuses root
            user = pwd.getpwnam("postgres")
            self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            for directory in (self.data.parent, self.data, self.run):
                os.chown(directory, user.pw_uid, user.pw_gid)
        subprocess.run([str(POSTGRES / "initdb"), "-D", str(self.data), "-U", "praxis", "--auth=trust", "--data-checksums",
                        "--encoding=UTF8", "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, cwd="/", **self.as_user)
        kept = [line for line in (like.directory / "postgres" / "data" / "verbund.conf").read_text().splitlines()
                if line.split("=")[0].strip() not in ("log_directory", "port", "listen_addresses", "unix_socket_directories",
                                                      "logging_collector", "max_connections")]
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write("\n".join(kept) + f"\nlisten_addresses = ''\nport = 5432\nunix_socket_directories = '{self.run}'\n"
                       "max_connections = 300\n")
        self.process = Process([POSTGRES / "postgres", "-D", self.data], scratch / "plain.log", cwd="/", **self.as_user)
        self.database = Database(str(self.run), 5432, "postgres", "praxis")
        wait_for(lambda: subprocess.run([str(POSTGRES / "pg_isready"), "-q"], env=self.database.environment).returncode == 0,
                 "the plain PostgreSQL")

    def end(self):
        self.process.end(signal.SIGINT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Program:
    """A client of the node: one JSON object per line."""

    def __init__(self, node, watch):
        self.socket = socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE)
        self.lines = self.socket.makefile(encoding="utf-8", newline="\n")
        token = next(line.split('"')[1] for line in node.token_file.read_text().splitlines() if line.startswith("token"))
        self.ask("register", token=token, workstation="bench", app="bench", watch=watch)

    def ask(self, op, **fields):
        self.socket.sendall(json.dumps({"op": op, "id": 1, **fields}).encode() + b"\n")
        reply = self.wait(lambda message: message.get("re") == 1)
        if not reply["ok"]:
            raise RuntimeError(f"{op}: {reply['error']}")
        return reply

    def wait(self, wanted):
        for line in self.lines:
            message = json.loads(line)
            if wanted(message):
                return message
        raise RuntimeError("the node closed the connection")

    def feed(self):
        return self.ask("status")["status"]["feed"]

    def close(self):
        self.ask("goodbye")
        self.socket.close()
