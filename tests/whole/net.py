"""Machines with a network of their own: namespaces on a switch, whose links can be cut and lose what is sent one way.

Everything lies in namespaces named after this process: nothing of the machine's own network is touched. What a killed run has
left behind goes at the next one.
"""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time

from office import wait_for

NOBODY = "02:00:00:00:00:99"  # a card that no machine has: what is sent to it is lost on the way


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def tc(namespace, *words):
    done = subprocess.run(["tc", "-n", namespace, *words], capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise OSError(f"tc {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def remove_left_behind():
    """Of runs whose process is gone."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        source, directory = line.split()[:2]
        owner = re.fullmatch(r"verbund(\d+)", source)
        if owner and not pathlib.Path("/proc", owner.group(1)).exists():
            unmount(directory)
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        owner = re.fullmatch(r"verbund(\d+)-\w+", name)
        if owner and not pathlib.Path("/proc", owner.group(1)).exists():
            end_all(name)
            ip("netns", "delete", name)


def end_all(namespace):
    for pid in ip("netns", "pids", namespace).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    wait_for(lambda: not ip("netns", "pids", namespace).split(), f"the processes in {namespace} to end")


class Machine:
    """A network namespace with one card. `prefix` in front of a command lets it run there."""

    def __init__(self, net, name, number):
        self.net = net
        self.namespace = f"verbund{os.getpid()}-{name}"
        self.port = f"port{number}"  # of the switch
        self.address = f"10.99.0.{number}"
        self.prefix = ["nsenter", f"--net=/run/netns/{self.namespace}"]
        ip("netns", "add", self.namespace)
        ip("link", "add", "card", "netns", self.namespace, "type", "veth", "peer", "name", self.port, "netns", net.switch)
        ip("-n", net.switch, "link", "set", self.port, "master", "switch", "up")
        ip("-n", self.namespace, "address", "add", f"{self.address}/24", "dev", "card")
        for device in ("lo", "card"):
            ip("-n", self.namespace, "link", "set", device, "up")

    def cut(self):
        """Its cable is pulled."""
        ip("-n", self.net.switch, "link", "set", self.port, "down")

    def plug_in(self):
        ip("-n", self.net.switch, "link", "set", self.port, "up")

    def ends(self):
        """Of its cable: what it sends itself, and what the switch sends to it."""
        return ((self.namespace, "card"), (self.net.switch, self.port))

    def rough(self):
        """From now on its line is slow and loses, both ways. Says how: netem where the kernel has it, else a narrow line before which a few packets can wait; the others are dropped."""
        for how in (("netem", "delay", "40ms", "15ms", "loss", "2%"), ("tbf", "rate", "4mbit", "burst", "4kb", "limit", "16kb")):
            try:
                for namespace, device in self.ends():
                    tc(namespace, "qdisc", "replace", "dev", device, "root", *how)
            except OSError as error:
                refused = error
                continue
            return " ".join(how)
        raise refused

    def lost(self):
        """Packets that the rough line has dropped."""
        return sum(int(re.search(r"dropped (\d+)", tc(namespace, "-s", "qdisc", "show", "dev", device)).group(1)) for namespace, device in self.ends())

    def lose_to(self, other):
        """What it sends to `other` is lost without a word; what `other` sends arrives."""
        ip("-n", self.namespace, "neighbour", "replace", other.address, "lladdr", NOBODY, "dev", "card", "nud", "permanent")

    def reach_all(self):
        ip("-n", self.namespace, "neighbour", "flush", "nud", "permanent", "dev", "card")

    def signal_all(self, number):
        """The whole machine: SIGSTOP freezes it, SIGCONT thaws it, SIGKILL is a power cut as far as processes see one."""
        for pid in ip("netns", "pids", self.namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), number)


class Net:
    """A switch and the machines on it."""

    def __init__(self, *names):
        remove_left_behind()
        self.switch = f"verbund{os.getpid()}-switch"
        self.machines = {}
        ip("netns", "add", self.switch)
        try:
            ip("-n", self.switch, "link", "add", "switch", "type", "bridge", "stp_state", "0", "forward_delay", "0")
            ip("-n", self.switch, "link", "set", "switch", "up")
            for number, name in enumerate(names, 1):
                self.machines[name] = Machine(self, name, number)
        except OSError:
            self.close()
            raise

    def __getitem__(self, name):
        return self.machines[name]

    def close(self):
        for line in ip("netns", "list").splitlines():
            name = line.split()[0]
            if name.startswith(f"verbund{os.getpid()}-"):
                end_all(name)
                ip("netns", "delete", name)


def why_not():
    """Why this machine can't have such networks; empty: it can. Tried, not guessed."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        net = Net("one", "two")
        try:
            net["one"].lose_to(net["two"])
        finally:
            net.close()
    except (OSError, subprocess.SubprocessError) as error:
        return f"this machine has no network namespaces: {error}"
    return ""


def mount(directory, megabytes):
    """A disk of its own at `directory`, in memory; takes no more than what is written to it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", f"verbund{os.getpid()}", str(directory)], check=True, timeout=30)


def resize(directory, megabytes):
    """No smaller than what is there."""
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(directory)], check=True, timeout=30)


def unmount(directory):
    subprocess.run(["umount", "-l", str(directory)], check=True, timeout=30)


@contextlib.contextmanager
def full_disk(directory):
    """A disk without room at `directory`; what was there is there again afterwards."""
    mount(directory, 1)
    try:
        (directory / "ballast").write_bytes(bytes(1 << 20))
        yield
    finally:
        unmount(directory)


class Writer:
    """An application on a machine of its own, over TCP, with the servers' addresses in its connection string. One row after the other;
    each id is kept once it was acknowledged, with a position of the log that its commit is not beyond, and the time."""

    def __init__(self, machine, servers, password, table):
        hosts, ports = ",".join(address for address, _ in servers), ",".join(str(port) for _, port in servers)
        conninfo = f"host={hosts} port={ports} user=praxis dbname=praxis sslmode=prefer target_session_attrs=read-write"
        self.argv = [*machine.prefix, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", conninfo]
        self.environment = {**os.environ, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "2"}
        self.table = table
        self.number = 0
        self.acknowledged = {}  # id -> (position, monotonic time)
        self.errors = tempfile.TemporaryFile("w+")
        self.ending = threading.Event()
        self.program = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ending.is_set():
            program = subprocess.Popen(self.argv, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=self.environment)
            self.program = program
            try:
                self._write(program)
            except BrokenPipeError:
                pass
            finally:
                program.kill()
                program.wait()
                program.stdout.close()
                with contextlib.suppress(BrokenPipeError):
                    program.stdin.close()

    def _write(self, program):
        while not self.ending.is_set():
            self.number += 1
            program.stdin.write(f"INSERT INTO {self.table} VALUES ({self.number}) RETURNING id;\nSELECT pg_current_wal_insert_lsn() - '0/0';\n")
            program.stdin.flush()
            if program.stdout.readline().strip() != str(self.number):
                break
            at = time.monotonic()
            position = program.stdout.readline().strip()  # empty: it was the last thing it heard
            self.acknowledged[self.number] = (int(position) if position else None, at)

    def reconnect(self):
        """It gives up the connection that it has, as its own timeouts would one day."""
        self.program.kill()

    def wait_more(self, count=20, patience=60):
        had = len(self.acknowledged)
        try:
            wait_for(lambda: len(self.acknowledged) >= had + count, "the writer to write", patience)
        except AssertionError as error:
            self.errors.seek(0)
            raise AssertionError(f"{error}; it wrote {len(self.acknowledged) - had}; psql said: {self.errors.read()[-2000:]}") from None

    def end(self):
        self.ending.set()
        if self.program:
            self.program.kill()
        self.thread.join(30)
        assert not self.thread.is_alive(), "the writer does not end"
        self.errors.close()
        return dict(self.acknowledged)
