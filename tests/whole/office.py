"""An office for whole-binary tests: a node in a scratch directory, programs that talk to it, everything ended by pid.

Every wait is for a condition, with a deadline. Ports are 0 (the node says which it got).
"""
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("VERBUND_BIN", str(ROOT / "build" / "release" / "verbund"))
# Where the page was built, with the npm packages that tests need.
PAGE_STAGE = pathlib.Path(os.environ.get("VERBUND_PAGE_STAGE", pathlib.Path(BINARY).parent / "web" / "page"))
PATIENCE = 40.0

FAST_TIMES = {"heartbeat.ms": 500, "suspect.ms": 1000, "lease.ms": 2000, "reconnect.ms": 3000, "reconnect.jitter.ms": 50}


def in_the_evening():
    """A time zone for all that is started from now on in which it is evening: before noon a second run belongs to the coming night already, and
    tests of "tonight" that were started after midnight failed for that."""
    offset = (20 - time.gmtime().tm_hour + 12) % 24 - 12
    os.environ["TZ"] = f"<EVENING>{-offset:+d}"
    time.tzset()


def wait_for(condition, what, patience=PATIENCE, every=0.02):
    """Polls until `condition()` is true and returns what it gave. `every`: seconds; longer for what costs something to ask."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience:.0f} s in vain for: {what}")
        time.sleep(every)


class Traffic:
    """Records what goes over the wire, for tests/protocol/validate_traffic.py."""

    lines = []
    lock = threading.Lock()

    @classmethod
    def add(cls, direction, line):
        with cls.lock:
            cls.lines.append(f"{direction} {line}")


class Workstation:
    """A program with a socket and a JSON parser: what any old program needs to join."""

    def __init__(self, port, host="127.0.0.1", record=True):
        self.socket = socket.create_connection((host, port), timeout=PATIENCE)
        self.record = record
        self.next_id = 1
        self.replies = {}
        self.events = []
        self.arrived = threading.Condition()
        self.closed = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.welcome = None

    def _read(self):
        buffer = b""
        while True:
            try:
                chunk = self.socket.recv(65536)
            except OSError:
                chunk = b""
            if not chunk:
                break
            buffer += chunk
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                self._take(line.decode("utf-8"))
        with self.arrived:
            self.closed = True
            self.arrived.notify_all()

    def _take(self, line):
        if self.record:
            Traffic.add("<", line)
        message = json.loads(line)
        with self.arrived:
            if "event" in message:
                self.events.append(message)
            else:
                self.replies[message.get("re")] = message
            self.arrived.notify_all()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, op, **fields):
        number = self.next_id
        self.next_id += 1
        line = json.dumps({"op": op, "id": number, **fields}, ensure_ascii=False)
        if self.record:
            Traffic.add(">", line)
        self.send_raw(line.encode("utf-8") + b"\n")
        return number

    def reply(self, number, patience=PATIENCE):
        with self.arrived:
            done = self.arrived.wait_for(lambda: number in self.replies or self.closed, patience)
            if number not in self.replies:
                raise AssertionError(f"no reply to request {number}: {'closed' if done else 'silence'}")
            return self.replies[number]

    def ask(self, op, **fields):
        return self.reply(self.send(op, **fields))

    def event(self, name, where=lambda event: True, patience=PATIENCE, after=0):
        """The first event of that name for which `where` holds, from number `after` on."""
        def find():
            return next((e for e in self.events[after:] if e["event"] == name and where(e)), None)

        with self.arrived:
            if not self.arrived.wait_for(find, patience):
                raise AssertionError(f"event {name} did not come; came: {[e['event'] for e in self.events[after:]]}")
            return find()

    def register(self, office, workstation, user=None, **fields):
        credentials = {"token": office.token} if user is None else {"user": user, "password": office.passwords[user]}
        reply = self.ask("register", workstation=workstation, app="test", **credentials, **fields)
        assert reply["ok"], reply
        self.welcome = reply.get("welcome")
        return reply

    def wait_closed(self, patience=PATIENCE):
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.closed, patience), "the node did not close the connection"

    def keep_alive(self, every=0.4):
        """Beats until closed, as a client library would."""
        def beat():
            pause = threading.Event()
            while not self.closed and not pause.wait(every):
                try:
                    self.send("beat")
                except OSError:
                    return
        threading.Thread(target=beat, daemon=True).start()
        return self

    def tear(self):
        """The cable is torn: no goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Program:
    """A running command whose lines of standard output can be waited for."""

    def __init__(self, argv, environment=None):
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})})
        self.lines = []
        self.errors = []
        self._changed = threading.Condition()
        for stream, into in ((self.process.stdout, self.lines), (self.process.stderr, self.errors)):
            threading.Thread(target=self._read, args=(stream, into), daemon=True).start()

    def _read(self, stream, into):
        for line in stream:
            with self._changed:
                into.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def line(self, where, patience=PATIENCE, errors=False):
        lines = self.errors if errors else self.lines
        with self._changed:
            found = self._changed.wait_for(lambda: next((l for l in lines if where(l)), None), patience)
            if not found:
                raise AssertionError(f"line did not come; output: {self.lines[-20:]} errors: {self.errors[-20:]}")
            return found

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, patience=PATIENCE):
        return self.process.wait(patience)

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()


class Office:
    """One node and its directory."""

    def __init__(self, demo="synthetic", properties=None, listen="127.0.0.1:0"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="verbund-whole-"))
        self.directory.chmod(0o755)
        self.data = self.directory / "data"
        self.demo = demo
        self.listen = listen
        self.prefix = []  # in front of every command of this machine: `ip netns exec …` for one with a network of its own
        self.address = "127.0.0.1"  # where other machines reach it
        self.properties = dict(FAST_TIMES, **(properties or {}))
        self.node = None
        self.port = None
        self.passwords = {}
        self.commands = []
        self.sessions = []

    # -- the node

    def init(self):
        self.run("init").check()
        path = self.data / "config" / "P2P.properties"
        text = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in text if line.split("=")[0].strip() not in self.properties]
        path.write_text("\n".join(kept + [f"{k}={v}" for k, v in self.properties.items()]) + "\n", encoding="utf-8")
        return self

    def start(self, wait=True):
        if not (self.data / "config" / "verbund.toml").exists():
            self.init()
        # The first port is kept for restarts: clients must find the node again.
        listen = f"{self.listen.rpartition(':')[0]}:{self.port}" if self.port else self.listen
        argv = [*self.prefix, BINARY, "--dir", str(self.data), "--json", "up", "--yes", "--listen", listen]
        if self.demo:
            argv.append("--demo")
        self.node = Program(argv)
        if wait:
            started = json.loads(self.node.line(lambda line: '"started":true' in line or '"error"' in line))
            assert started.get("started"), started
            self.port = started["port"]
            self._read_login()
        return self

    def _read_login(self):
        login = dict(line.split(": ", 1) for line in (self.data / "administrator.txt").read_text().splitlines())
        self.passwords[login["user"]] = login["password"]
        client = (self.data / "client.toml").read_text()
        self.token = client.split('token = "')[1].split('"')[0]
        # client.toml names the port of the first start; later starts of a test keep it.

    def kill(self):
        """kill -9 of the node; its PostgreSQL lives on as an orphan."""
        self.node.process.kill()
        self.node.wait()

    def stop(self):
        if self.node and self.node.process.poll() is None:
            code = self.node.end()
            assert code == 0, f"the node ended with {code}: {self.node.lines[-5:]} {self.node.errors[-5:]}"

    def close(self):
        try:
            for session in self.sessions:
                if session.poll() is None:
                    session.kill()
                    session.wait()
                if not session.stdin.closed:
                    session.stdin.close()
            for command in self.commands:
                if command.process.poll() is None:
                    command.process.kill()
                    command.wait()
            if self.node and self.node.process.poll() is None:
                self.node.end()
        finally:
            self.end_postgres()
            shutil.rmtree(self.directory, ignore_errors=True)

    def postmaster(self):
        try:
            return int((self.data / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def end_postgres(self):
        """What a killed node has left behind, by the pid in its own directory."""
        pid = self.postmaster()
        if pid:
            try:
                os.kill(pid, signal.SIGQUIT)
            except ProcessLookupError:
                pass

    # -- programs

    def workstation(self, name=None, **fields):
        station = Workstation(self.port)
        if name:
            station.register(self, name, **fields)
        return station

    def command(self, *words, **environment):
        program = Program([*self.prefix, BINARY, "--dir", str(self.data), *words], environment)
        self.commands.append(program)
        return program

    def run(self, *words, stdin=None, **environment):
        done = subprocess.run([*self.prefix, BINARY, "--dir", str(self.data), *words], input=stdin, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "LC_ALL": "C.UTF-8", **environment})
        return Outcome(done)

    def psql(self, sql, database="praxis"):
        """As another program of the office would: straight into the database."""
        role = "praxis" if database == "praxis" else "verbund_node"
        password = (self.data / "secrets" / role).read_text().strip()
        with tempfile.NamedTemporaryFile("w", dir=self.directory) as passfile:
            os.chmod(passfile.name, 0o600)
            passfile.write(f"*:*:*:*:{password}\n")
            passfile.flush()
            done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.data / "postgres" / "run"),
                                   "-U", role, "-d", database, "-c", sql],
                                  env={**os.environ, "PGPASSFILE": passfile.name}, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout.strip()

    def open_psql(self):
        """A psql on the practice's database that stays open; reads SQL from its standard input until that is closed."""
        program = subprocess.Popen(["psql", "-X", "-q", "-h", str(self.data / "postgres" / "run"), "-U", "praxis", "praxis"], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env={**os.environ, "PGPASSFILE": str(self.data / "pgpass")})
        self.sessions.append(program)
        return program

    def a_patient(self, offset=0):
        return self.psql(f"SELECT id FROM patient ORDER BY id OFFSET {offset} LIMIT 1")


class Outcome:
    def __init__(self, done):
        self.code, self.output, self.errors = done.returncode, done.stdout, done.stderr

    def check(self):
        assert self.code == 0, f"exit code {self.code}: {self.output} {self.errors}"
        return self

    def json(self):
        return json.loads(self.output)
