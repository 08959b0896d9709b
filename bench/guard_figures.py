"""Benchmark of the guard: what it costs an application's transaction, and a lock."""
import pathlib
import re
import tempfile
import time

import database_figures
import servers

CLIENTS = 16
TABLES = ("guarded", "unguarded")
BLOCKS = "".join(f'\n[[record]]\ntype = "{name}"\ntable = "public.bench_{name}"\n' for name in TABLES)


class GuardedTable:
    """Two equal tables, one of them guarded while it lasts; the node starts anew at both ends."""

    def __init__(self, bench):
        self.bench, self.config = bench, bench.node.directory / "config" / "verbund.toml"

    def __enter__(self):
        self.before = self.config.read_text(encoding="utf-8")
        database = self.bench.node.database()
        for name in TABLES:
            database.sql(f"CREATE TABLE IF NOT EXISTS bench_{name} (id int PRIMARY KEY, n bigint NOT NULL, note text) WITH (fillfactor = 50);"
                         f"TRUNCATE bench_{name}; INSERT INTO bench_{name} SELECT i, 0, 'a note of some length' FROM generate_series(0, {CLIENTS - 1}) i")
        self.config.write_text(self.before + BLOCKS, encoding="utf-8")
        self.bench.node.restart()
        self._guard("enable", "guarded", "--enforce")
        return self

    def _guard(self, *words):
        # client.toml names the port of the first start.
        self.bench.node._run("--server", f"127.0.0.1:{self.bench.node.port}", "guard", *words)

    def __exit__(self, *_):
        self._guard("disable", "guarded")
        self.config.write_text(self.before, encoding="utf-8")
        self.bench.node.restart()


def transactions(database, seconds, script):
    """Single-row transactions per second: each client writes its own row, as whoever holds its record does."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "transaction.sql"
        path.write_text(script, encoding="utf-8")
        done = database.program("pgbench", "-n", "-c", CLIENTS, "-j", 2, "-T", seconds, "-f", path)
    return float(re.search(r"^tps = ([0-9.]+)", done.stdout, re.M).group(1))


def guard(bench, topic):
    """The same single-row transaction on a guarded and on an unguarded table, in turn; and locks of both types."""
    seconds = 2 if bench.quick else 10
    with GuardedTable(bench):
        database, administrator = bench.node.database(), bench.node.database("verbund")
        program = servers.Program(bench.node, database_figures.NOTHING)
        try:
            token = program.ask("lock", keys=[f"guarded/{i}" for i in range(CLIENTS)])["token"]
            update = "UPDATE bench_{} SET n = n + 1 WHERE id = :client_id"
            setting, function = f"SET LOCAL verbund.token = '{token}'", f"SELECT verbund.use_lock({token})"
            # One round trip for both: what is compared is the database's work. And as programs do it, one trip per statement.
            for title, show, join, limit in (("one round trip", setting, r"\; ", 0.85), ("one round trip, use_lock()", function, r"\; ", None),
                                             ("a round trip per statement", setting, ";\n", None),
                                             ("a round trip per statement, use_lock()", function, ";\n", None)):
                ours, theirs = [], []
                for _ in range(2):
                    administrator.sql("CHECKPOINT")
                    ours.append(transactions(database, seconds, join.join(["BEGIN", show, update.format("guarded"), "COMMIT"]) + ";\n"))
                    administrator.sql("CHECKPOINT")
                    theirs.append(transactions(database, seconds, join.join(["BEGIN", update.format("unguarded"), "COMMIT"]) + ";\n"))
                topic.figure(f"single-row transactions, {title}", "tps", peer="without guard", better="more", target=limit,
                             detail=limit is None).add(sum(ours) / 2, sum(theirs) / 2)
            written = int(database.sql("SELECT sum(n) FROM bench_guarded"))
            if written == 0:
                raise RuntimeError("the guarded table was not written")
            topic.figure("lock and unlock, one client", "ms", peer="without guard", detail=True).add(
                pair(program, "guarded/new", bench.quick), pair(program, "unguarded/new", bench.quick))
        finally:
            program.close()
    topic.note(f"{CLIENTS} connections, each with its own record, whose lock is held. The guarded transaction also shows its token: SET LOCAL, or use_lock(). "
               "Both tables are captured. A grant of a guarded type waits for its commit in the source database.")


def pair(program, key, quick):
    count = 50 if quick else 500
    begun = time.monotonic()
    for _ in range(count):
        program.ask("lock", keys=[key])
        program.ask("unlock", keys=[key])
    return (time.monotonic() - begun) / count * 1000
