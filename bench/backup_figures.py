"""Benchmark of the backup: a run of the office beside what a user would write with stock programs, on the same data."""
import json
import os
import pathlib
import random
import resource
import shutil
import subprocess
import time

import servers

ROWS = 3_000_000
FOLDER_MB = 300


def prepare(bench):
    """A database and a folder tree, once: text as offices have it, and files that don't compress."""
    database = bench.node.database()
    rows = ROWS // 50 if bench.quick else ROWS
    database.sql("CREATE TABLE IF NOT EXISTS bench_letters (id bigint PRIMARY KEY, patient bigint, at timestamptz, note text)")
    if int(database.sql("SELECT count(*) FROM bench_letters")) != rows:
        database.sql("TRUNCATE bench_letters")
        database.sql("INSERT INTO bench_letters SELECT i, i % 20000, '2026-01-01'::timestamptz + i * interval '1 second',"
                     " repeat('Befund ' || (i::bigint * 7919 % 1000) || ', Verlauf ' || md5(i::text) || '. ', 4)"
                     f" FROM generate_series(1, {rows}) i")
        database.sql("CREATE INDEX ON bench_letters (patient); ANALYZE bench_letters")
    tree = bench.scratch / "backup-tree"
    if not tree.exists():
        chance = random.Random(1)
        size = 1 << 20
        for i in range(FOLDER_MB // (50 if bench.quick else 1)):
            path = tree / f"{i % 20:02}" / f"file-{i}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(chance.randbytes(size) if i % 3 == 0 else b"".join(b"line %d of a letter\n" % chance.randrange(10**6) for _ in range(size // 26)))
    return database, tree


def configure(bench, tree, target):
    (bench.node.directory / "config" / "backup.toml").write_text(f"""
[backup]
target = "{target}"
[databases]
mid_tier = false
versions = false
[[application]]
name = "bench"
  [[application.folder]]
  root = "{tree}"
  restore = ["**"]
""", encoding="utf-8")


def drop(directory):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    os.sync()


def timed(argv, **more):
    """Seconds, peak memory in MB of the largest process of it."""
    begun = time.monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"{argv[0]}: {output!r} {process.stderr.read()!r}")
    return time.monotonic() - begun, usage.ru_maxrss / 1024, output


def by_hand(database, tree, target):
    """pg_dump and tar side by side, each into zstd, synced: what is on the disk counts."""
    script = (f"set -o pipefail; {servers.POSTGRES}/pg_dump -Fc -Z0 | zstd -q -3 -T2 -o {target}/db.dump.zst & dump=$!\n"
              f"tar -cf - -C {tree} . | zstd -q -3 -T2 -o {target}/tree.tar.zst || exit 1\n"
              f"wait $dump || exit 1; sync -f {target}")
    return timed(["bash", "-c", script], env=database.environment)[0]


def restic(database, tree, scratch):
    """The same into a new repository: the dump through a pipe, the tree as it is."""
    drop(scratch)
    here = {**database.environment, "RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(scratch / "repository"), "XDG_CACHE_HOME": str(scratch)}
    timed(["restic", "init", "-q"], env=here)
    script = (f"set -o pipefail; {servers.POSTGRES}/pg_dump -Fc -Z0 | restic backup -q --stdin --stdin-filename db.dump & dump=$!\n"
              f"restic backup -q {tree} || exit 1\nwait $dump || exit 1; sync -f {scratch}")
    return timed(["bash", "-c", script], env=here)[0]


def pgbackrest(bench, tree, scratch):
    """A full copy of the server's files (all databases, with indexes), and the tree by tar; without the log that would make it whole."""
    drop(scratch)
    data = bench.node.directory / "postgres" / "data"
    common = ["pgbackrest", "--config=/dev/null", "--stanza=bench", f"--pg1-path={data}", f"--repo1-path={scratch}/repository", f"--log-path={scratch}",
              f"--lock-path={scratch}", "--no-online"]
    timed([*common, "stanza-create"])
    words = " ".join([*common, "--force", "--type=full", "--compress-type=zst", "--compress-level=3", "--process-max=2", "backup"])
    return timed(["bash", "-c", f"set -o pipefail; {words} & copy=$!\ntar -cf - -C {tree} . | zstd -q -3 -T2 -o {scratch}/tree.tar.zst || exit 1\n"
                                f"wait $copy || exit 1; sync -f {scratch}"])[0]


def restore(bench, topic, database):
    """One dump back over the database, beside what a user would type, on the same server. Ours also reads the archive through, puts the
    database in the place of the old one, and the node follows it. In turn, and each with log files that can be used again."""
    dumps, into = bench.scratch / "backup-dumps", "bench_restored"
    drop(dumps)
    names = pathlib.Path(bench.node.binary).parent
    here = {**os.environ, "VERBUND_DIR": str(bench.node.directory)}
    timed([names / "dumpSIQ", "-d", servers.POSTGRES, "-b", dumps], env=here)
    dump = next(dumps.glob("*.backup"))
    administrator = bench.node.database("verbund")

    def ours():
        took = timed([names / "restoreSIQ", "-d", servers.POSTGRES, "-f", dump, "--yes"], env=here)[0]
        for old in administrator.sql("SELECT datname FROM pg_database WHERE datname LIKE '%\\_before\\_%'").split():
            administrator.sql(f"DROP DATABASE {old}")
        return took

    def theirs():
        programs = f"{servers.POSTGRES}/createdb -T template0 {into} && {servers.POSTGRES}/pg_restore -j2 --no-owner -d {into} {dump}"
        try:
            return timed(["bash", "-c", programs], env=administrator.environment)[0]
        finally:
            administrator.sql(f"DROP DATABASE {into} WITH (FORCE)")

    def settled():
        now = administrator.sql("SELECT pg_current_wal_insert_lsn()")
        servers.wait_for(lambda: administrator.sql(f"SELECT bool_and(restart_lsn >= '{now}' OR confirmed_flush_lsn >= '{now}') FROM pg_replication_slots") == "t",
                         "the feed has read what was written")
        administrator.sql("CHECKPOINT")
        administrator.sql("CHECKPOINT")

    took = {}
    for way in (ours, theirs, theirs, ours):
        settled()
        took[way] = took.get(way, 0) + way() / 2
    topic.figure("restore of the database", "s", peer="createdb and pg_restore -j2", **({} if bench.quick else {"target": 1.1})).add(took[ours], took[theirs])


def bytes_below(directory):
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def backup(bench, topic):
    """The run without verification; its proofs; size beside pg_dump's own compression."""
    database, tree = prepare(bench)
    ours, theirs = bench.scratch / "backup-ours", bench.scratch / "backup-theirs"
    configure(bench, tree, ours)
    command = [bench.node.binary, "--dir", str(bench.node.directory), "--server", f"127.0.0.1:{bench.node.port}", "--json", "backup"]
    for directory in (ours, theirs):
        drop(directory)
    took, memory, output = timed([*command, "run", "--no-verify"])
    hand = by_hand(database, tree, theirs)
    report = json.loads(output)
    for name, measured in (("restic", lambda: restic(database, tree, theirs / "restic")), ("pgBackRest, full", lambda: pgbackrest(bench, tree, theirs / "pgbackrest"))):
        if servers.find(name.split(",")[0].lower()):
            topic.figure("run without verification", "s", peer=name).add(took, measured())
    target = {} if bench.quick else {"target": 1.15}
    topic.figure("run without verification", "s", peer="pg_dump and tar into zstd", **target).add(took, hand)
    topic.figure("peak memory of the run", "MB").add(memory)
    stored = bytes_below(pathlib.Path(report["path"]) / "db")
    database.program("pg_dump", "-Fc", "-f", theirs / "default.dump")
    topic.figure("size of the database in the set", "MB", peer="pg_dump -Fc", target=1.0).add(stored / 1e6, (theirs / "default.dump").stat().st_size / 1e6)
    for level in ("L1", "L2", "L3", "L4"):
        topic.figure(f"verification {level}", "s").add(timed([*command, "verify", "newest", "--level", level])[0])
    restore(bench, topic, database)
    topic.note("Source database and one folder tree, both ways, onto the same disk, synced. Verification is apart: the peers have none.")
