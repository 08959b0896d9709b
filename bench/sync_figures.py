"""Benchmark of device sync: a first sync beside COPY piped into sqlite3; a sync without changes; many devices at once; what a change costs that says who has which rows."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "whole"))
from office import BINARY, Office, wait_for  # noqa: E402

ROWS = 1_000_000
DEVICES, UP, DOWN = 500, 20, 50
COLUMNS = ("id bigint PRIMARY KEY, family_name text NOT NULL, given_name text NOT NULL, birth_date date, gender text, street text, postal_code text, city text,"
           " phone text, weight numeric(5,2), seen timestamptz, active boolean NOT NULL")
ONE_ROW = ("n, 'Familie' || n % 5000, 'Vorname' || n % 300, date '1930-01-01' + n % 30000, (ARRAY['male', 'female'])[1 + n % 2], 'Straße ' || n % 9000,"
           " lpad((n % 99999)::text, 5, '0'), 'Stadt ' || n % 700, '0' || n::bigint * 7919 % 100000000, (n % 15000)::numeric / 100, timestamptz '2026-01-01 00:00:00.123456+00' + n * interval '1 second', n % 10 > 0")
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

    def device(self, name):
        file = self.office.directory / f"{name}.db"
        code = self.office.run("sync", "device", "invite", "--user", "anna").check().output.split()[0]
        self.office.run("device", "init", "--db", str(file), "--server", f"127.0.0.1:{self.office.port}", "--code", code).check()
        return file

    def sync(self, file, which):
        return self.office.run("--json", "device", "sync", "--db", str(file), "--set", which).check().json()

    def measured_sync(self, file, which):
        """What it says, seconds, and the process's own highest memory in kB."""
        start = time.monotonic()
        running = subprocess.Popen([BINARY, "--json", "device", "sync", "--db", str(file), "--set", which], stdout=subprocess.PIPE)
        said = running.stdout.read()
        _, status, usage = os.wait4(running.pid, 0)
        running.stdout.close()
        running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode != 0:
            raise AssertionError(f"sync: exit code {running.returncode}: {said}")
        return json.loads(said), time.monotonic() - start, usage.ru_maxrss

    def peak_kb(self):
        status = pathlib.Path(f"/proc/{self.office.node.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0])

    def copy_into_sqlite(self, file):
        """Seconds of COPY to standard output into sqlite3's .import."""
        password = (self.office.data / "secrets" / "praxis").read_text().strip()
        columns = COLUMNS.replace("bigint PRIMARY KEY", "integer PRIMARY KEY")
        subprocess.run(["sqlite3", str(file), f"PRAGMA journal_mode = WAL; CREATE TABLE patient ({columns})"], check=True, capture_output=True)
        start = time.monotonic()
        reading = subprocess.Popen(["psql", "-X", "-q", "-h", str(self.office.data / "postgres" / "run"), "-U", "praxis", "-d", "praxis", "-c", "COPY patient TO STDOUT (FORMAT csv)"],
                                   env={**os.environ, "PGPASSWORD": password}, stdout=subprocess.PIPE)
        subprocess.run(["sqlite3", str(file), "-cmd", ".mode csv", ".import /dev/stdin patient"], stdin=reading.stdout, check=True, capture_output=True)
        reading.stdout.close()
        if reading.wait() != 0:
            raise AssertionError("COPY failed")
        return time.monotonic() - start


    def compressed_copy(self):
        """Bytes of the table as a binary COPY through zstd -1."""
        password = (self.office.data / "secrets" / "praxis").read_text().strip()
        reading = subprocess.Popen(["psql", "-X", "-q", "-h", str(self.office.data / "postgres" / "run"), "-U", "praxis", "-d", "praxis", "-c", "COPY (SELECT * FROM patient ORDER BY id) TO STDOUT (FORMAT binary)"],
                                   env={**os.environ, "PGPASSWORD": password}, stdout=subprocess.PIPE)
        packing = subprocess.Popen(["zstd", "-1", "-q", "-c"], stdin=reading.stdout, stdout=subprocess.PIPE)
        reading.stdout.close()
        count = 0
        while part := packing.stdout.read(1 << 20):
            count += len(part)
        packing.stdout.close()
        if packing.wait() != 0 or reading.wait() != 0:
            raise AssertionError("COPY through zstd failed")
        return count


def bytes_over_loopback():
    """All that has come in by the loopback interface: TLS, HTTP and TCP with it; databases are reached by sockets in the file system."""
    for line in pathlib.Path("/proc/net/dev").read_text(encoding="utf-8").splitlines():
        if line.strip().startswith("lo:"):
            return int(line.split(":")[1].split()[0])
    raise AssertionError("there is no loopback interface")


def cpu_seconds(pids):
    """What the scheduler has given to all their threads, in nanoseconds, not in ticks."""
    nanoseconds = 0
    for pid in pids:
        for thread in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                nanoseconds += int(thread.read_text(encoding="utf-8").split()[0])
    return nanoseconds / 1e9


def server_processes(office):
    """The node and its PostgreSQL's processes."""
    postmaster = office.postmaster()
    children = pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="utf-8").split()
    return [office.node.process.pid, postmaster, *map(int, children)]


def quiet_milliseconds(practice, file):
    """CPU of a sync without changes, the median of batches. Not while autovacuum is at the tables that were just filled: that is no sync's time."""
    batches, count = [], 25
    practice.sync(file, "big")
    for _ in range(7):
        wait_for(lambda: practice.office.psql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'", database="verbund_mid") == "0",
                 "autovacuum to be done", patience=300, every=1)
        pids = server_processes(practice.office)
        before = cpu_seconds(pids)
        for _ in range(count):
            practice.sync(file, "big")
        batches.append((cpu_seconds(pids) - before) / count * 1000)
    return statistics.median(batches)


def first_sync(rows, rounds):
    practice = Practice(rows)
    try:
        pairs, device_kb = [], 0
        for number in range(rounds):
            plain = practice.copy_into_sqlite(practice.office.directory / f"plain{number}.db")
            file = practice.device(f"device{number}")
            before = bytes_over_loopback()
            done, took, kilobytes = practice.measured_sync(file, "big")
            wire = bytes_over_loopback() - before
            pairs.append((rows / took, rows / plain))
            device_kb = max(device_kb, kilobytes)
            if done["sessions"][0]["upserted"] != rows:
                raise AssertionError(done)
        quiet = quiet_milliseconds(practice, practice.office.directory / "device0.db")
        return {"pairs": pairs, "server_mb": practice.peak_kb() / 1024, "device_mb": device_kb / 1024, "quiet_ms": quiet, "wire": (wire / 1e6, practice.compressed_copy() / 1e6)}
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
        came = {json.loads(out)["sessions"][0]["upserted"] + json.loads(out)["sessions"][1]["upserted"] for out, _, _ in outcomes}
        up = office.psql("SELECT count(*) FROM report")
        if came != {DOWN} or up != str(devices * UP):
            raise AssertionError(f"rows that came: {came}, rows that went up: {up}")
        return took
    finally:
        office.close()


def first_crowd(devices, rows):
    """All rows for all devices at once, each a process of its own. Seconds until the last has them, and the node's highest memory in MB."""
    practice = Practice(rows)
    office = practice.office
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            files = list(pool.map(lambda number: practice.device(f"device{number}"), range(devices)))
        start = time.monotonic()
        running = [subprocess.Popen([BINARY, "--json", "device", "sync", "--db", str(file), "--set", "big"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for file in files]
        outcomes = [process.communicate() + (process.returncode,) for process in running]
        took = time.monotonic() - start
        failed = [outcome for outcome in outcomes if outcome[2] != 0]
        if failed:
            raise AssertionError(f"{len(failed)} of {devices} failed: {failed[0]}")
        came = {json.loads(out)["sessions"][0]["upserted"] for out, _, _ in outcomes}
        if came != {rows}:
            raise AssertionError(f"rows that came: {came}")
        return took, practice.peak_kb() / 1024
    finally:
        office.close()


def repair(rows, differ):
    """Bytes on the wire of a device that is repaired, `differ` of its rows are others; and of one that gets everything. In MB."""
    practice = Practice(rows)
    office = practice.office
    try:
        file = practice.device("device")
        before = bytes_over_loopback()
        practice.sync(file, "big")
        everything = bytes_over_loopback() - before
        # As after a restore of the server: its history is another one.
        with sqlite3.connect(file) as app:
            app.execute("UPDATE verbund_device SET history = 'another'")
        app.close()
        told = office.psql("SELECT csn FROM feed.position", database="verbund_mid")
        office.psql(f"UPDATE patient SET city = 'anderswo' WHERE id % {rows // differ} = 0")
        wait_for(lambda: office.psql("SELECT csn FROM feed.position", database="verbund_mid") != told, "the feed")
        before = bytes_over_loopback()
        practice.sync(file, "big")
        repaired = bytes_over_loopback() - before
        with sqlite3.connect(file) as app:
            if app.execute("SELECT count(*), count(*) FILTER (WHERE city = 'anderswo') FROM patient").fetchone() != (rows, differ):
                raise AssertionError("the device is not repaired")
        app.close()
        return repaired / 1e6, everything / 1e6
    finally:
        office.close()


TOURS = """[[subscription]]
name = "observations"
direction = "down"
table = "observation"
filter = "patient_id IN (SELECT patient_id FROM care WHERE nurse = :user)"

[[set]]
name = "all"
subscriptions = ["observations"]

[[group]]
name = "nurses"
sets = ["all"]

[[user]]
name = "nurse1"
group = "nurses"
"""


class Tours:
    """Nurses with 20 patients each, who have 5 observations each; one nurse has a device."""

    def __init__(self):
        self.office = Office(demo=None, properties={}).start()
        self.nurses = 0
        self.office.psql("CREATE TABLE care (id bigint PRIMARY KEY, patient_id bigint NOT NULL, nurse text NOT NULL);"
                         "CREATE TABLE observation (id bigint PRIMARY KEY, patient_id bigint NOT NULL, text text NOT NULL)")
        rules = self.office.directory / "rules.toml"
        rules.write_text(TOURS, encoding="utf-8")
        self.office.run("sync", "apply", str(rules)).check()
        self.device = self.office.directory / "device.db"
        code = self.office.run("sync", "device", "invite", "--user", "nurse1").check().output.split()[0]
        self.office.run("device", "init", "--db", str(self.device), "--server", f"127.0.0.1:{self.office.port}", "--code", code).check()
        self.office.run("device", "sync", "--db", str(self.device)).check()

    def mid_tier(self, sql):
        return self.office.psql(sql, database="verbund_mid")

    def grow_to(self, nurses):
        self.office.psql(f"INSERT INTO care SELECT n, n, 'nurse' || 1 + (n - 1) / 20 FROM generate_series({self.nurses * 20 + 1}, {nurses * 20}) n;"
                         f"INSERT INTO observation SELECT n, 1 + (n - 1) / 5, 'Puls 70' FROM generate_series({self.nurses * 100 + 1}, {nurses * 100}) n")
        self.nurses = nurses
        shadow = self.shadow("observation")
        wait_for(lambda: self.mid_tier(f"SELECT count(*) FROM {shadow}") == str(nurses * 100), "the feed", patience=600, every=0.5)
        self.mid_tier(f"ANALYZE {shadow}; ANALYZE {self.shadow('care')}")

    def shadow(self, table):
        return self.mid_tier(f"SELECT 'feed.' || quote_ident(shadow) FROM feed.source_table WHERE table_name = '{table}'")

    def trigger_milliseconds(self, table, change):
        """Of the triggers of device sync in one statement of the feed, the median of 50 rows."""
        found = []
        for number in range(50):
            key = 1 + number * (self.nurses * 20 // 50)
            said = self.mid_tier(f"BEGIN; EXPLAIN (ANALYZE, FORMAT JSON) UPDATE {self.shadow(table)} SET {change} WHERE verbund_key = '{key}'; ROLLBACK")
            found.append(sum(one["Time"] for one in json.loads(said)[0]["Triggers"] if one["Trigger Name"].startswith("sync_")))
        return statistics.median(found)


def moves(few, many):
    """Milliseconds for `few` and for `many` nurses: of an assignment that becomes another nurse's, and of an observation that becomes another patient's."""
    tours = Tours()
    try:
        found = []
        for nurses in (few, many):
            tours.grow_to(nurses)
            found.append([tours.trigger_milliseconds("care", "nurse = 'nurse7'"), tours.trigger_milliseconds("observation", "patient_id = '77'")])
        tours.office.run("device", "sync", "--db", str(tours.device)).check()
        with sqlite3.connect(tours.device) as app:
            if app.execute("SELECT count(*) FROM observation").fetchone() != (100,):
                raise AssertionError("the device has other rows than its nurse's")
        app.close()
        return found
    finally:
        tours.office.close()


def sync(bench, topic):
    """See bench/README.md."""
    rows = ROWS // 20 if bench.quick else ROWS
    speed = topic.figure(f"first sync of {rows:,} rows of 12 columns", "rows/s", peer="COPY | sqlite3 .import", better="more", target=0.6)
    server = topic.figure("the node's memory at its highest", "MB", limit=150)
    device = topic.figure("the device's memory at its highest", "MB", limit=100)
    quiet = topic.figure("a sync without changes: CPU of node and PostgreSQL", "ms", limit=5)
    wire = topic.figure("bytes on the wire of the first sync, all of TCP", "MB", peer="binary COPY | zstd -1", target=1.2)
    crowd = topic.figure(f"{DEVICES} devices at once, {UP} changes up, {DOWN} rows down", "s", limit=15)
    filled, each = (30, 2_000) if bench.quick else (300, 20_000)
    filling = topic.figure(f"{filled} first syncs of {each:,} rows at once", "s")
    filling_node = topic.figure("the node's memory at its highest meanwhile", "MB", limit=150)
    repaired_rows = rows // 10
    repaired = topic.figure(f"bytes on the wire to repair {repaired_rows:,} rows of which 10 differ, all of TCP", "MB", peer="everything anew", target=0.1)
    few, many = (10, 100) if bench.quick else (100, 10_000)
    granted = topic.figure(f"matching an assignment's change, {many:,} users", "ms", peer=f"{few:,} users", target=2)
    changed = topic.figure(f"matching a row's change, {many:,} users", "ms", peer=f"{few:,} users", target=2)
    found = first_sync(rows, 1 if bench.quick else 3)
    for ours, plain in found["pairs"]:
        speed.add(ours, plain)
    server.add(found["server_mb"])
    device.add(found["device_mb"])
    quiet.add(found["quiet_ms"])
    wire.add(*found["wire"])
    crowd.add(many_devices(DEVICES // 10 if bench.quick else DEVICES))
    took, megabytes = first_crowd(filled, each)
    filling.add(took)
    filling_node.add(megabytes)
    repaired.add(*repair(repaired_rows, 10))
    fewer, more = moves(few, many)
    granted.add(more[0], fewer[0])
    changed.add(more[1], fewer[1])
