"""Benchmark of device sync: a first sync beside COPY piped into sqlite3; a sync without changes; many devices at once."""
import concurrent.futures
import os
import pathlib
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "whole"))
from office import BINARY, Office  # noqa: E402

ROWS = 1_000_000
DEVICES, UP, DOWN = 500, 20, 50
COLUMNS = ("id uuid PRIMARY KEY, family_name text NOT NULL, given_name text NOT NULL, birth_date date, gender text, street text, postal_code text, city text,"
           " phone text, weight numeric(5,2), seen timestamptz, active boolean NOT NULL")
ONE_ROW = ("md5(n::text)::uuid, 'Familie' || n % 5000, 'Vorname' || n % 300, date '1930-01-01' + n % 30000, (ARRAY['male', 'female'])[1 + n % 2], 'Straße ' || n % 9000,"
           " lpad((n % 99999)::text, 5, '0'), 'Stadt ' || n % 700, '0' || n * 7919 % 100000000, (n % 15000)::numeric / 100, timestamptz '2026-01-01 00:00:00.123456+00' + n * interval '1 second', n % 10 > 0")
RULES = """[[subscription]]
name = "patients"
table = "patient"
rights = ["read", "insert", "update", "delete"]

[[subscription]]
name = "notes"
table = "note"
filter = "region = :region"
rights = ["read", "insert", "update", "delete"]

[[subscription]]
name = "reports"
kind = "upload"
table = "report"
rights = ["insert"]

[[set]]
name = "big"
subscriptions = ["patients"]

[[set]]
name = "small"
subscriptions = ["notes", "reports"]

[[group]]
name = "all"
sets = ["big", "small"]
parameters = { region = "nord" }

[[user]]
name = "anna"
group = "all"
"""


class Practice:
    """An office on loopback whose devices have `rows` patients, and notes of their own."""

    def __init__(self, rows):
        self.office = Office(demo=None, properties={}).start()
        self.office.psql(f"CREATE TABLE patient ({COLUMNS}); CREATE TABLE note (id bigint PRIMARY KEY, region text NOT NULL, text text NOT NULL);"
                         "CREATE TABLE report (id bigint PRIMARY KEY, text text NOT NULL)")
        if rows:
            self.office.psql(f"INSERT INTO patient SELECT {ONE_ROW} FROM generate_series(1, {rows}) n")
        rules = self.office.directory / "rules.toml"
        rules.write_text(RULES, encoding="utf-8")
        self.office.run("sync", "apply", str(rules)).check()
        self.office.stop()
        self.office.start()

    def device(self, name):
        file = self.office.directory / f"{name}.db"
        code = self.office.run("sync", "device", "invite", "--user", "anna").check().output.split()[0]
        self.office.run("device", "init", "--db", str(file), "--server", f"127.0.0.1:{self.office.port}", "--code", code).check()
        return file

    def sync(self, file, which):
        return self.office.run("--json", "device", "sync", "--db", str(file), "--set", which).check().json()

    def peak_kb(self):
        status = pathlib.Path(f"/proc/{self.office.node.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0])

    def copy_into_sqlite(self, file):
        """Seconds of COPY to standard output into sqlite3's .import."""
        password = (self.office.data / "secrets" / "praxis").read_text().strip()
        columns = COLUMNS.replace("uuid PRIMARY KEY", "text PRIMARY KEY")
        subprocess.run(["sqlite3", str(file), f"PRAGMA journal_mode = WAL; CREATE TABLE patient ({columns})"], check=True, capture_output=True)
        start = time.monotonic()
        reading = subprocess.Popen(["psql", "-X", "-q", "-h", str(self.office.data / "postgres" / "run"), "-U", "praxis", "-d", "praxis", "-c", "COPY patient TO STDOUT (FORMAT csv)"],
                                   env={**os.environ, "PGPASSWORD": password}, stdout=subprocess.PIPE)
        subprocess.run(["sqlite3", str(file), "-cmd", ".mode csv", ".import /dev/stdin patient"], stdin=reading.stdout, check=True, capture_output=True)
        reading.stdout.close()
        if reading.wait() != 0:
            raise AssertionError("COPY failed")
        return time.monotonic() - start


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        ticks += sum(int(fields[at]) for at in (11, 12, 13, 14))
    return ticks / os.sysconf("SC_CLK_TCK")


def server_processes(office):
    """The node and its PostgreSQL's processes."""
    postmaster = office.postmaster()
    children = pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="utf-8").split()
    return [office.node.process.pid, postmaster, *map(int, children)]


def first_sync(rows, rounds):
    practice = Practice(rows)
    try:
        pairs = []
        for number in range(rounds):
            plain = practice.copy_into_sqlite(practice.office.directory / f"plain{number}.db")
            file = practice.device(f"device{number}")
            start = time.monotonic()
            done = practice.sync(file, "big")
            pairs.append((rows / (time.monotonic() - start), rows / plain))
            if done["sessions"][0]["upserted"] != rows:
                raise AssertionError(done)
        device_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        quiet, count = [], 50
        file = practice.office.directory / "device0.db"
        practice.sync(file, "big")
        pids = server_processes(practice.office)
        before = cpu_seconds(pids)
        for _ in range(count):
            practice.sync(file, "big")
        quiet = (cpu_seconds(pids) - before) / count * 1000
        return {"pairs": pairs, "server_mb": practice.peak_kb() / 1024, "device_mb": device_kb / 1024, "quiet_ms": quiet}
    finally:
        practice.office.close()


def many_devices(devices):
    """Seconds until all have synced UP changes up and DOWN rows down, each a process of its own, started at once."""
    practice = Practice(0)
    office = practice.office
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            files = list(pool.map(lambda number: practice.device(f"device{number}"), range(devices)))
            list(pool.map(lambda file: practice.sync(file, "small"), files))
        for number, file in enumerate(files):
            with sqlite3.connect(file) as app:
                app.executemany("INSERT INTO report VALUES (?, 'vom Gerät')", [(1_000_000 + number * UP + at,) for at in range(UP)])
            app.close()
        office.psql(f"INSERT INTO note SELECT n, 'nord', 'aus der Praxis ' || n FROM generate_series(1, {DOWN}) n")
        start = time.monotonic()
        running = [subprocess.Popen([BINARY, "--json", "device", "sync", "--db", str(file), "--set", "small"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for file in files]
        outcomes = [process.communicate() + (process.returncode,) for process in running]
        took = time.monotonic() - start
        failed = [outcome for outcome in outcomes if outcome[2] != 0]
        if failed:
            raise AssertionError(f"{len(failed)} of {devices} failed: {failed[0]}")
        return took
    finally:
        office.close()


def sync(bench, topic):
    """See bench/README.md."""
    rows = ROWS // 20 if bench.quick else ROWS
    speed = topic.figure(f"first sync of {rows:,} rows of 12 columns", "rows/s", peer="COPY | sqlite3 .import", better="more", target=0.6)
    server = topic.figure("the node's memory at its highest", "MB", limit=150)
    device = topic.figure("the device's memory at its highest", "MB", limit=100)
    quiet = topic.figure("a sync without changes: CPU of node and PostgreSQL", "ms", limit=5)
    crowd = topic.figure(f"{DEVICES} devices at once, {UP} changes up, {DOWN} rows down", "s", limit=15)
    found = first_sync(rows, 1 if bench.quick else 3)
    for ours, plain in found["pairs"]:
        speed.add(ours, plain)
    server.add(found["server_mb"])
    device.add(found["device_mb"])
    quiet.add(found["quiet_ms"])
    crowd.add(many_devices(DEVICES // 10 if bench.quick else DEVICES))
