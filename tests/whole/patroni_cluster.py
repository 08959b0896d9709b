"""A Patroni cluster on loopback as an office with its own database people runs it: etcd, some members, nothing of it Verbund's."""
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request

from office import wait_for
from somebody_elses_server import BINARIES

USER, PASSWORD = "verwalter", "rest-kennwort"


def missing():
    """Why there can be no cluster here; empty: there can."""
    absent = [name for name in ("patroni", "etcd") if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed (tools/install-deps)" if absent else ""


def free_ports(count):
    listeners = [socket.socket() for _ in range(count)]
    try:
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


class Member:
    """One machine: Patroni, and the PostgreSQL that it starts."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.directory = cluster.directory / name
        self.directory.mkdir()
        self.port, self.rest_port = free_ports(2)
        self.process = None
        settings = {
            "scope": "praxis", "name": name,
            "restapi": {"listen": f"127.0.0.1:{self.rest_port}", "connect_address": f"127.0.0.1:{self.rest_port}",
                        "authentication": {"username": USER, "password": PASSWORD}},
            "etcd3": {"host": f"127.0.0.1:{cluster.etcd_port}"},
            "bootstrap": {
                "dcs": {"ttl": cluster.ttl, "loop_wait": cluster.loop_wait, "retry_timeout": cluster.retry_timeout, "maximum_lag_on_failover": 1048576,
                        "postgresql": {"use_pg_rewind": True, "use_slots": True,
                                       "parameters": {"wal_level": "logical", "wal_log_hints": "on", "max_connections": 100,
                                                      "max_wal_senders": 10, "max_replication_slots": 10}}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]},
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}", "connect_address": f"127.0.0.1:{self.port}", "data_dir": str(self.directory / "data"),
                "bin_dir": str(BINARIES), "pgpass": str(self.directory / "pgpass"),
                "authentication": {"superuser": {"username": "postgres", "password": "x"},
                                   "replication": {"username": "nachfolger", "password": "x"},
                                   "rewind": {"username": "rewinder", "password": "x"}},
                "parameters": {"unix_socket_directories": str(self.directory), "fsync": "off", "shared_buffers": "32MB"}}}
        # JSON is YAML.
        (self.directory / "patroni.yml").write_text(json.dumps(settings), encoding="utf-8")
        cluster.hand_over(self.directory)

    @property
    def rest(self):
        return f"http://127.0.0.1:{self.rest_port}"

    def start(self):
        with open(self.directory / "patroni.log", "ab") as log:
            self.process = self.cluster.spawn(["patroni", str(self.directory / "patroni.yml")], log)
        return self

    def postmaster(self):
        try:
            return int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def kill(self):
        """As a machine that loses its power: Patroni and PostgreSQL at once, nothing in order."""
        self.kill_patroni()
        pid = self.postmaster()
        if pid:
            self.cluster.kill_tree(pid)

    def kill_patroni(self):
        """PostgreSQL runs on, and takes writes, though nobody looks after it any more."""
        if self.process:
            self.cluster.kill_tree(self.process.pid, keep=self.postmaster())
            self.process.wait(30)
            self.process = None

    def sql(self, statement, database="postgres"):
        return self.cluster.psql(self.port, statement, database)

    def patroni(self):
        with urllib.request.urlopen(self.rest + "/patroni", timeout=5) as answer:
            return json.loads(answer.read())


class PatroniCluster:
    def __init__(self, members=2, ttl=5, synchronous=False, loop_wait=1, retry_timeout=3):
        self.ttl, self.loop_wait, self.retry_timeout = ttl, loop_wait, retry_timeout
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="verbund-patroni-"))
        self.directory.chmod(0o755)
        self.user = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None
        self.hand_over(self.directory)
        self.etcd_port, peer = free_ports(2)
        log = open(self.directory / "etcd.log", "ab")
        own, other = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{peer}"
        self.etcd = self.spawn(["etcd", "--data-dir", str(self.directory / "etcd"), "--listen-client-urls", own, "--advertise-client-urls", own,
                                "--listen-peer-urls", other, "--initial-advertise-peer-urls", other, "--initial-cluster", f"default={other}",
                                "--unsafe-no-fsync"], log)
        log.close()
        self.members = [Member(self, f"pg{number + 1}") for number in range(members)]
        try:
            wait_for(self.etcd_answers, "etcd answers")
            self.members[0].start()
            wait_for(lambda: self.leader() is self.members[0], "the first member leads", 60)
            for member in self.members[1:]:
                member.start()
            self.wait_whole()
            if synchronous:
                self.configure({"synchronous_mode": True})
                wait_for(lambda: any(m["role"] == "sync_standby" for m in self.view()["members"]), "a synchronous member")
        except BaseException:
            self.close()
            raise

    def hand_over(self, path):
        if self.user:
            shutil.chown(path, self.user, self.user)

    def argv(self, words):
        # setpriv, unlike runuser, is replaced by the program: its pid is the program's.
        if not self.user:
            return words
        entry = pwd.getpwnam(self.user)
        return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups", *words]

    def spawn(self, words, log):
        # ETCD_UNSUPPORTED_ARCH: other machines than amd64 ask for it.
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "LC_ALL": "C.UTF-8", "ETCD_UNSUPPORTED_ARCH": os.uname().machine.replace("aarch64", "arm64")}
        return subprocess.Popen(self.argv(words), stdout=log, stderr=subprocess.STDOUT, cwd=self.directory, env=environment, start_new_session=True)

    def etcd_answers(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.etcd_port}/health", timeout=2) as answer:
                return json.loads(answer.read())["health"] == "true"
        except OSError:
            return False

    @staticmethod
    def kill_tree(root, keep=None):
        """`root` and what it has started, found by parent; `keep` and below stay."""
        children = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except (OSError, IndexError, ValueError):
                    continue
                children.setdefault(parent, []).append(int(entry.name))
        doomed, todo = [], [root]
        while todo:
            pid = todo.pop()
            if pid == keep:
                continue
            doomed.append(pid)
            todo += children.get(pid, [])
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def view(self):
        """What the first member that answers says of the cluster; None: nobody does."""
        for member in self.members:
            if member.process is None:
                continue
            try:
                with urllib.request.urlopen(member.rest + "/cluster", timeout=5) as answer:
                    return json.loads(answer.read())
            except OSError:
                continue
        return None

    def leader(self):
        """The member that leads and takes writes, or None."""
        for member in self.members:
            if member.process is None:
                continue
            try:
                with urllib.request.urlopen(member.rest + "/primary", timeout=5) as answer:
                    if answer.status == 200:
                        return member
            except OSError:
                continue
        return None

    def wait_whole(self):
        running = {member.name for member in self.members if member.process}

        def whole():
            view = self.view() or {"members": []}
            ready = {m["name"] for m in view["members"] if m["state"] in ("running", "streaming")}
            lags = [m.get("lag", 0) for m in view["members"] if m["name"] in running]
            return running <= ready and all(lag == 0 for lag in lags) and self.leader()

        return wait_for(whole, "all members run and follow", 60)

    def configure(self, settings):
        self.call("PATCH", "/config", settings)

    def call(self, method, path, body):
        import base64
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(self.leader().rest + path, json.dumps(body).encode(), {"Authorization": f"Basic {secret}"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def psql(self, port, statement, database):
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", database, "-f", "-"],
                              input=statement, capture_output=True, text=True, timeout=60, env={**os.environ, "PGCONNECT_TIMEOUT": "3"})
        if done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout.strip()

    def sql(self, statement, database="praxis"):
        return self.leader().sql(statement, database)

    def connection(self, database="praxis", user="postgres"):
        hosts = ",".join("127.0.0.1" for _ in self.members)
        ports = ",".join(str(member.port) for member in self.members)
        return f"host={hosts} port={ports} user={user} dbname={database} target_session_attrs=read-write"

    def close(self):
        for member in self.members:
            member.kill()
        self.kill_tree(self.etcd.pid)
        self.etcd.wait(30)
        shutil.rmtree(self.directory, ignore_errors=True)
