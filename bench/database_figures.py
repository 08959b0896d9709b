"""Benchmarks of capture: what it costs the database's writers, how fast it is, how much memory it takes."""
import pathlib
import re
import tempfile
import threading
import time

import servers

ROWS = 1_000_000
FIXED_RATE = 2000  # transactions per second
ROWS_PER_TRANSACTION = 4  # of pgbench: account, teller, branch, history


def prepare(bench):
    """pgbench's tables in a captured database and in a plain one; pgbench_history gets a primary key in both, or it
    could not be captured."""
    scale = 4 if bench.quick else 16
    for database in (bench.node.database(), bench.plain.database):
        database.program("pgbench", "-i", "-q", "-s", scale)
        database.sql("ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY")
        database.sql("CREATE TABLE bench_bulk (id bigint PRIMARY KEY, note text, at timestamptz DEFAULT now())")
        database.sql("VACUUM ANALYZE")
    bench.node.end()
    bench.node.add_records()
    bench.node.keep_history([])
    bench.node.start()
    program = servers.Program(bench.node, NOTHING)
    captured = program.feed()
    program.close()
    for excluded in captured["excluded"]:
        if excluded["table"].split(".")[-1].startswith(("pgbench", "bench")):
            raise RuntimeError(f"{excluded['table']} is not captured: {excluded['reason']}")


NOTHING = {"types": [], "locks": False, "presence": False}


def lsn_bytes(text):
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


def pgbench_run(database, administrator, seconds, *more):
    """Transactions per second, the p99 of their latency in ms (with --rate: from when they were due), their number."""
    administrator.sql("CHECKPOINT")  # or the checkpoint that one run earns falls into the next
    with tempfile.TemporaryDirectory() as logs:
        done = database.program("pgbench", "-n", "-c", 16, "-j", 2, "-T", seconds, "-l", *more, cwd=logs)
        latencies = []
        for path in pathlib.Path(logs).glob("pgbench_log.*"):
            with path.open(encoding="ascii") as lines:
                latencies += [int(line.split()[2]) / 1000 for line in lines]
    tps = float(re.search(r"^tps = ([0-9.]+)", done.stdout, re.M).group(1))
    return tps, percentile(latencies, 99), len(latencies)


class LagWatch:
    """Asks the node twice a second how far its feed is behind; on a connection of its own."""

    def __init__(self, node):
        self.program, self.most = servers.Program(node, NOTHING), 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self):
        while not self.over.wait(0.5):
            self.most = max(self.most, self.program.feed()["lag_bytes"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.program.close()


def catch_up(program, database):
    """How far the feed is behind now, in bytes of log, and how long it takes to arrive here."""
    here = lsn_bytes(database.sql("SELECT pg_current_wal_lsn()"))
    begun = time.monotonic()
    behind = max(0, here - lsn_bytes(program.feed()["passed"]))
    servers.wait_for(lambda: lsn_bytes(program.feed()["passed"]) >= here, "the feed to catch up", 600)
    return behind, time.monotonic() - begun


def pgbench(bench, topic):
    """pgbench -c 16 on a captured database beside the same on one without capture: saturated, and at a fixed rate."""
    seconds = 5 if bench.quick else 10
    captured, plain = bench.node.database(), bench.plain.database
    administrator = bench.node.database("verbund")
    program = servers.Program(bench.node, NOTHING)
    try:
        catch_up(program, captured)
        for title, target, more in (("saturated", 0.75, ()), (f"at {FIXED_RATE:,} tps", None, ("-R", FIXED_RATE))):
            before = program.feed()["changes"]
            with LagWatch(bench.node) as lag:
                tps, p99, count = pgbench_run(captured, administrator, seconds, *more)
            behind, took = catch_up(program, captured)
            rows = program.feed()["changes"] - before
            if rows < ROWS_PER_TRANSACTION * count:
                raise RuntimeError(f"{count} transactions made {rows} captured changes, not {ROWS_PER_TRANSACTION} each")
            plain_tps, plain_p99, _ = pgbench_run(plain, plain, seconds, *more)
            topic.figure(f"{title}: transactions", "tps", peer="without capture", better="more", target=target).add(tps, plain_tps)
            topic.figure(f"{title}: p99", "ms", peer="without capture", target=1.2 if more else None).add(p99, plain_p99)
            topic.figure(f"{title}: feed behind, at most", "MB of log").add(lag.most / 1e6)
            topic.figure(f"{title}: feed behind at the end", "MB of log", detail=True).add(behind / 1e6)
            topic.figure(f"{title}: until caught up", "s").add(took)
    finally:
        program.close()
    topic.note("All four tables are captured (pgbench_history got a serial primary key, in both databases). The server without "
               "capture is another PostgreSQL with the same settings on the same disk; one of the two is idle at a time.")
    topic.note("At a fixed rate latency counts from when the transaction was due. Feed lag: until its events had gone out.")


def history(bench, topic):
    """The same changes captured with and without history of their table: what its images cost, and the relay beside it."""
    rows = ROWS // 10 if bench.quick else ROWS // 4
    work = {"insert": f"INSERT INTO bench_bulk SELECT i, 'a note of some length ' || i FROM generate_series(1, {rows}) i",
            "update": "UPDATE bench_bulk SET note = note || '!'", "delete": "DELETE FROM bench_bulk"}
    database, seconds, stored = bench.node.database(), {}, 0.0
    for kept in ([], ["bulk"]):
        bench.node.end()
        bench.node.keep_history(kept)
        bench.node.start()
        program = servers.Program(bench.node, NOTHING)
        try:
            database.sql("TRUNCATE bench_bulk")
            catch_up(program, database)
            for name, statement in work.items():
                bench.node.checkpoint()
                database.sql(statement)
                _, seconds[name, bool(kept)] = catch_up(program, database)
            if kept:
                begun = time.monotonic()
                servers.wait_for(lambda: program.ask("status")["status"]["history"]["behind"] == 0, "history to catch up", 600)
                stored = time.monotonic() - begun + sum(seconds[name, True] for name in work)
        finally:
            program.close()
    bench.node.end()
    bench.node.keep_history([])
    bench.node.start()
    for name in work:
        topic.figure(f"{name} of {rows:,} rows in one transaction: commit → event", "rows/s", peer="without history", better="more",
                     target=0.7).add(rows / seconds[name, True], rows / seconds[name, False])
    topic.figure("versions stored, meanwhile and after", "versions/s", better="more").add(len(work) * rows / stored)
    topic.note("With history the journal holds what each row held before and after, and the relay stores it in the versions database "
               "at the same time. All other figures are measured without history.")


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def forget_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def bare_decoding(database, end):
    """Seconds that pg_recvlogical needs to receive the same transaction and to throw it away."""
    begun = time.monotonic()
    database.program("pg_recvlogical", "-d", database.name, "--slot", "bench_peer", "--start", "--no-loop", "--endpos", end,
                     "-o", "proto_version=1", "-o", "publication_names=verbund", "-f", "/dev/null")
    return time.monotonic() - begun


def capture(bench, topic):
    """One transaction of a million rows, from its commit to the event; beside bare decoding of the same log."""
    rows = ROWS // 10 if bench.quick else ROWS
    database, replication = bench.node.database(), bench.node.database("verbund_node")
    program = servers.Program(bench.node, {"types": ["bulk"], "locks": False, "presence": False})
    try:
        database.sql("TRUNCATE bench_bulk")
        catch_up(program, database)
        replication.sql("SELECT pg_create_logical_replication_slot('bench_peer', 'pgoutput')")
        forget_peak(bench.node.pid)
        before = peak_bytes(bench.node.pid)
        database.sql(f"INSERT INTO bench_bulk SELECT i, 'a note of some length ' || i FROM generate_series(1, {rows}) i")
        committed = time.monotonic()
        program.wait(lambda message: any(part["count"] == rows for part in message.get("bulk", [])))
        ours = time.monotonic() - committed
        peak = peak_bytes(bench.node.pid)
        end = database.sql("SELECT pg_current_wal_lsn()")
        theirs = bare_decoding(replication, end)
    finally:
        replication.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'bench_peer'")
        program.close()
    topic.figure(f"one transaction of {rows:,} rows: commit → event", "rows/s", peer="pg_recvlogical", better="more",
                 limit=50_000).add(rows / ours, rows / theirs)
    topic.figure("node's peak memory during it", "MB", limit=300).add(peak / 1e6)
    topic.figure("of that, above what it had before", "MB").add((peak - before) / 1e6)
    topic.note("Capture writes journal and shadow table and commits; pg_recvlogical only receives what the server decodes. "
               "PostgreSQL hands a transaction on after its commit, so all of it lies in these times.")


WATCHED_TABLES = 265


class WatchedTables:
    """So many further record types while it lasts; the node starts anew at both ends."""

    def __init__(self, bench):
        self.bench, self.config = bench, bench.node.directory / "config" / "verbund.toml"

    def __enter__(self):
        self.before = self.config.read_text(encoding="utf-8")
        numbers = range(1, WATCHED_TABLES + 1)
        self.bench.node.database().sql(";".join(f"CREATE TABLE IF NOT EXISTS watched_{n} (id bigint PRIMARY KEY, note text)" for n in numbers))
        blocks = "".join(f'\n[[record]]\ntype = "watched_{n}"\ntable = "public.watched_{n}"\n' for n in numbers)
        self.config.write_text(self.before + blocks, encoding="utf-8")
        self.bench.node.restart()
        return self

    def __exit__(self, *_):
        self.config.write_text(self.before, encoding="utf-8")
        self.bench.node.restart()


def watched_tables(bench, topic):
    """The same rows in one transaction, over one of 265 watched tables and over all of them in turn."""
    rows = 26_500 if bench.quick else 265_000
    database = bench.node.database()
    with WatchedTables(bench):
        program = servers.Program(bench.node, NOTHING)
        try:
            seconds = {}
            for tables in (1, WATCHED_TABLES):
                database.sql(";".join(f"TRUNCATE watched_{n}" for n in range(1, WATCHED_TABLES + 1)))
                catch_up(program, database)
                before = program.feed()["changes"]
                # Row by row from table to table: nothing that lies together in the log is of one table.
                database.sql(f"DO $$ BEGIN FOR i IN 1..{rows} LOOP"
                             f" EXECUTE format('INSERT INTO watched_%s VALUES ($1, $2)', 1 + i % {tables}) USING i, 'a note of some length ' || i;"
                             " END LOOP; END $$")
                _, seconds[tables] = catch_up(program, database)
                captured = program.feed()["changes"] - before
                if captured != rows:
                    raise RuntimeError(f"{rows} rows over {tables} tables made {captured} captured changes")
        finally:
            program.close()
    topic.figure(f"one transaction of {rows:,} rows over {WATCHED_TABLES} tables: commit → event", "rows/s", peer="the same rows in one table",
                 better="more", target=0.9).add(rows / seconds[WATCHED_TABLES], rows / seconds[1])
    topic.note(f"{WATCHED_TABLES} tables are watched in both cases. Over all of them the rows go from table to table, one by one.")
