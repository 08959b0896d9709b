"""Benchmark of the mirror: what a program sees of a switchover beside Patroni's; from the word to the first write of a promotion; the first copy."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "whole"))
import patroni_gap  # noqa: E402
from database_figures import percentile  # noqa: E402
from office import Office, wait_for  # noqa: E402
from patroni_cluster import missing  # noqa: E402
from test_mirror import Mirror, invite, open_for_mirrors, psql  # noqa: E402
from test_mirror_follow import superuser  # noqa: E402

FILL_ROWS = 4_000_000  # about 520 MB
FIXED_RATE = 1_000
MEMORY = "/dev/shm"


class Pair:
    """Production and its mirror, on loopback, in scratch directories; by the settings that every installation has."""

    def __init__(self, rows=0, demo=None, own_disk=False):
        """`own_disk`: the mirror's is memory, so that the two do not share one, as two machines don't."""
        self.office = open_for_mirrors(Office(demo=demo, properties={"reconnect.ms": 30_000})).start()
        if rows:
            psql(self.office, f"CREATE TABLE fill AS SELECT i, md5(i::text) AS a, md5((i + 1)::text) AS b FROM generate_series(1, {rows}) AS i")
        before = tempfile.tempdir
        tempfile.tempdir = MEMORY if own_disk else before
        try:
            self.mirror = Mirror(self.office)
        finally:
            tempfile.tempdir = before
        self.standby = None

    def join(self):
        start = time.monotonic()
        self.copied_ms = json.loads(self.mirror.join(invite(self.office)).check().output.splitlines()[-1])["copied_ms"]
        return time.monotonic() - start

    def follow(self):
        self.mirror.start()
        self.whole(self.office, self.mirror)

    def state(self, side):
        done = side.run("--json", "mirror", "status")
        return done.json() if done.code == 0 else {}

    def whole(self, production, mirror):
        def look():
            one, two = self.state(production), self.state(mirror)
            return (one.get("role") == "production" and two.get("role") == "mirror" and two["streaming"] and one["pair"]["peer"].get("following")
                    and one["pair"]["peer"]["alive"] and two["pair"]["peer_asks"] and one["pair"]["peer"].get("term") == one["pair"]["term"])
        wait_for(look, "production and mirror to know of each other")

    def connection(self):
        password = (self.office.data / "secrets" / "praxis").read_text().strip()
        passfile = self.office.directory / "writer.pass"
        passfile.touch(0o600)
        passfile.write_text(f"*:*:*:*:{password}\n")
        return (f"host={self.office.data / 'postgres' / 'run'},{self.mirror.data / 'postgres' / 'run'} port={self.office.database_port},{self.mirror.database_port()} "
                f"user=praxis dbname=praxis target_session_attrs=read-write passfile={passfile}")

    def present(self, side):
        if side is self.office:
            return {int(n) for n in psql(self.office, "SELECT n FROM gap").split()}
        return {int(n) for n in self.mirror.psql("SELECT n FROM gap")[1].split()}

    def follow_alone(self):
        """PostgreSQL's standby without the mirror's node: what following costs in any case."""
        data = self.mirror.data / "postgres" / "data"
        binary = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        user = data.owner()
        self.standby = subprocess.Popen([str(binary), "-D", str(data)], user=user, group=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_for(lambda: superuser(self.office, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name <> ''") != "0", "the standby to stream")

    def close(self):
        if self.standby:
            self.standby.send_signal(signal.SIGINT)
            self.standby.wait(30)
        self.mirror.close()
        self.office.close()


def writes_more(writer, count=200):
    had = len(writer.acknowledged)
    wait_for(lambda: len(writer.acknowledged) > had + count, "the writer to write")


def switchover_gap(rounds=3):
    """Seconds of each round's gap (there and back), and what was acknowledged and is not there."""
    pair = Pair()
    try:
        pair.join()
        pair.follow()
        psql(pair.office, "CREATE TABLE gap (n bigint PRIMARY KEY)")
        writer = patroni_gap.Writer(pair.connection())
        gaps, production, mirror = [], pair.office, pair.mirror
        for _ in range(rounds):
            writes_more(writer)
            start = time.monotonic()
            production.run("mirror", "switchover").check()
            writes_more(writer)
            gaps.append(writer.gap_since(start))
            production, mirror = mirror, production
            pair.whole(production, mirror)
        writer.end()
        return {"gaps_s": gaps, "acknowledged": len(writer.acknowledged), "lost": len(set(writer.acknowledged) - pair.present(production))}
    finally:
        pair.close()


def promotion():
    """Production's node and PostgreSQL are killed. Seconds from the confirmation to the first write acknowledged to a program that connects anew by itself; from then until a
    workstation that held a lock holds it again; what is missing of what was acknowledged (asynchronous: what the mirror had not received)."""
    pair = Pair(demo="synthetic")
    try:
        pair.join()
        pair.follow()
        psql(pair.office, "CREATE TABLE gap (n bigint PRIMARY KEY)")
        patient = psql(pair.office, "SELECT id FROM patient ORDER BY id LIMIT 1")
        holder = pair.office.command("--workstation", "Labor", "--json", "lock", f"patient/{patient}")
        holder.line(lambda line: f"patient/{patient}" in line)
        writer = patroni_gap.Writer(pair.connection())
        writes_more(writer)
        os.kill(pair.office.postmaster(), signal.SIGKILL)
        pair.office.kill()
        wait_for(lambda: not pair.state(pair.mirror)["pair"]["peer"]["alive"], "the mirror to miss production")
        token = pair.mirror.run("--json", "mirror", "promote").check().json()["token"]
        start = time.monotonic()
        pair.mirror.run("mirror", "promote", "--accept-loss", token).check()
        wait_for(lambda: any(lock["key"] == f"patient/{patient}" and lock["state"] == "held" for lock in held(pair.mirror)), "the lock to be held again")
        again = time.monotonic()
        writes_more(writer)
        writer.end()
        first = next(at for at in writer.times if at >= start)
        return {"first_write_s": first - start, "lock_again_s": again - first, "missing": len(set(writer.acknowledged) - pair.present(pair.mirror))}
    finally:
        pair.close()


def held(side):
    done = side.run("--json", "locks")
    return done.json() if done.code == 0 else []


def plain_copy(pair):
    """Seconds of pg_basebackup alone, over the connection that the mirror's node uses."""
    role = superuser(pair.office, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'verbund_mirror_%' ORDER BY oid DESC LIMIT 1")
    password = (pair.mirror.data / "secrets" / "pair").read_text().strip()
    with tempfile.TemporaryDirectory(prefix="verbund-bench-") as scratch:
        superuser(pair.office, "CHECKPOINT")
        start = time.monotonic()
        subprocess.run(["pg_basebackup", "-D", f"{scratch}/copy", "-X", "stream", "-c", "fast", "--no-password", "-d",
                        f"host=127.0.0.1 port={pair.office.database_port} user={role} sslmode=require"],
                       check=True, env={**os.environ, "PGPASSWORD": password, "PATH": os.environ["PATH"] + ":/usr/lib/postgresql/15/bin"})
        return time.monotonic() - start


def first_copy(rows=FILL_ROWS):
    """Seconds of `mirror join` (with verification), of its copying alone, and of pg_basebackup alone, before and behind it. A first mirror that joins is not counted: whoever
    reads a table first after it was filled waits for the disk, which is still writing it."""
    pair = Pair(rows)
    try:
        pair.join()
        plain_copy(pair)
        before = plain_copy(pair)
        pair.mirror.close()
        pair.mirror = Mirror(pair.office)
        superuser(pair.office, "CHECKPOINT")
        start = time.monotonic()
        said = json.loads(pair.mirror.join(invite(pair.office, "--replace")).check().output.splitlines()[-1])
        joined = time.monotonic() - start
        return {"join_s": joined, "copy_s": said["copied_ms"] / 1000, "pg_basebackup_s": (before + plain_copy(pair)) / 2}
    finally:
        pair.close()


def fill_pgbench(office):
    password = (office.data / "secrets" / "praxis").read_text().strip()
    where = {**os.environ, "PGPASSWORD": password, "PGHOST": str(office.data / "postgres" / "run"), "PGPORT": str(office.database_port), "PGUSER": "praxis",
             "PATH": os.environ["PATH"] + ":/usr/lib/postgresql/15/bin"}
    subprocess.run(["pgbench", "-i", "-q", "-s", "10", "praxis"], check=True, env=where, capture_output=True)
    return where


def p99_at(office, where, seconds, rate=FIXED_RATE):
    """ms from when a transaction was due."""
    superuser(office, "CHECKPOINT")  # or the checkpoint that one run earns falls into the next
    with tempfile.TemporaryDirectory() as logs:
        subprocess.run(["pgbench", "-n", "-c", "16", "-j", "2", "-T", str(seconds), "-R", str(rate), "-l", "praxis"], check=True, env=where, cwd=logs, capture_output=True)
        latencies = [int(line.split()[2]) / 1000 for path in pathlib.Path(logs).glob("pgbench_log.*") for line in path.open(encoding="ascii")]
    return percentile(latencies, 99)


def following_cost(rounds, seconds):
    """pgbench at a fixed rate on a production with a mirror that follows, beside one with PostgreSQL's standby alone and one without; in turns, the others are idle."""
    pair, plain, alone = Pair(own_disk=True), Pair(own_disk=True), open_for_mirrors(Office(demo=None, properties={})).start()
    try:
        places = [(office, fill_pgbench(office)) for office in (pair.office, plain.office, alone)]
        pair.join()
        pair.follow()
        plain.join()
        plain.follow_alone()
        return [tuple(p99_at(office, where, seconds) for office, where in places) for _ in range(rounds)]
    finally:
        alone.close()
        plain.close()
        pair.close()


def mirror(bench, topic):
    """One round; see bench/README.md."""
    gap = topic.figure("longest gap between two acknowledged writes", "s", peer="Patroni", target=1.0, limit=1.0)
    lost = topic.figure("acknowledged and lost by switchovers", "rows", limit=0)
    word = topic.figure("promotion: from the confirmation to the first write of a program that connects anew", "s", limit=2.0)
    locks = topic.figure("from then until a workstation's lock is held again", "s", limit=5.0)
    pure = topic.figure("copying of 520 MB by mirror join, without verification", "s", peer="pg_basebackup alone", target=1 / 0.9)
    copy = topic.figure("mirror join, with verification, of 520 MB", "s", peer="pg_basebackup alone")
    cost = topic.figure(f"pgbench at {FIXED_RATE:,} tps: p99 with a mirror that follows, on the same machine", "ms", peer="without a mirror", target=1.05)
    standby = topic.figure(f"pgbench at {FIXED_RATE:,} tps: p99 with PostgreSQL's standby alone, without the mirror's node", "ms", peer="without a mirror")
    ours = switchover_gap(1 if bench.quick else 2)
    theirs = None if missing() else patroni_gap.patroni_switchover_gap(1 if bench.quick else 2)
    for number, value in enumerate(ours["gaps_s"]):
        gap.add(value, theirs["gaps_s"][number] if theirs else None)
    lost.add(ours["lost"])
    promoted = promotion()
    word.add(promoted["first_write_s"])
    locks.add(promoted["lock_again_s"])
    times = first_copy(FILL_ROWS // 10 if bench.quick else FILL_ROWS)
    pure.add(times["copy_s"], times["pg_basebackup_s"])
    copy.add(times["join_s"], times["pg_basebackup_s"])
    for with_mirror, with_standby, without in following_cost(1 if bench.quick else 5, 5 if bench.quick else 15):
        cost.add(with_mirror, without)
        standby.add(with_standby, without)
