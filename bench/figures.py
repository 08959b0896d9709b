"""Benchmarks of sessions, locks and fan-out: they run the load generators against us and a peer in turn."""
import json
import subprocess

import servers


class Bench:
    """What all benchmarks share: the node, the scratch directory, the generators, how much to do."""

    def __init__(self, build, scratch, node, quick):
        self.build, self.scratch, self.node, self.quick = build, scratch, node, quick

    def generate(self, program, **options):
        """Runs a load generator; its figures."""
        argv = [str(self.build / "bench" / f"verbund_bench_{program}")]
        for name, value in options.items():
            argv += [f"--{name.replace('_', '-')}", str(value)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
        if done.returncode:
            raise RuntimeError(f"{program} {options.get('wire')}: {done.stderr.strip()}")
        return json.loads(done.stdout)


def peer_present(peer, topic):
    if servers.find(peer.program):
        return True
    topic.note(f"{peer.name} was missing (apt-get install {peer.program}): its figures are left out.")
    return False


def locks(bench, topic):
    """Lock+release pairs per second: line JSON and WebSocket beside Redis."""
    if not peer_present(servers.Redis, topic):
        return lock_pairs(bench, topic, None)
    with servers.Redis(bench.scratch) as redis:
        lock_pairs(bench, topic, redis)
    topic.note("Redis: SET NX PX 30000 and EVALSHA compare-and-delete, without persistence.")
    return None


def lock_pairs(bench, topic, redis):
    node, seconds = bench.node, 2 if bench.quick else 4
    for connections in (1, 50, 500):
        theirs = redis and bench.generate("locks", wire="redis", port=redis.port, connections=connections, seconds=seconds)
        for wire, title, target in (("line", "line JSON", 0.9), ("websocket", "WebSocket", 0.6)):
            ours = bench.generate("locks", wire=wire, port=node.port, connections=connections, seconds=seconds,
                                  token_file=node.token_file)
            title = f"{title}, {connections} connections"
            topic.figure(title, "pairs/s", peer="Redis", better="more", target=target).add(
                ours["pairs_per_s"], theirs and theirs["pairs_per_s"])
            topic.figure(f"{title}: grant p99", "ms", peer="Redis", detail=True).add(
                ours["grant_p99_us"] / 1000, theirs and theirs["grant_p99_us"] / 1000)


def fan_out_run(bench, clients, **options):
    # Enough that a single slow fsync is not the p99 of all; fewer where each takes a tenth of a second.
    publications = 10 if bench.quick else 150 if clients < 5000 else 40
    return bench.generate("fanout", clients=clients, publications=publications, **options)


def fan_out_ours(bench, clients, publish, **more):
    node = bench.node
    return fan_out_run(bench, clients, wire="line", publish=publish, port=node.port, token_file=node.token_file,
                       server_pid=node.pid, **more)


def add_fan_out(topic, title, ours, theirs, peer, target):
    for name, key in (("each client p50", "each_p50_us"), ("each client p99", "each_p99_us"), ("all have it, p99", "all_p99_us")):
        topic.figure(f"{title}: {name}", "ms", peer=peer, detail=key == "all_p99_us",
                      target=target if key == "each_p99_us" else None).add(
            ours[key] / 1000, theirs[key] / 1000)


def fan_out(bench, topic):
    """One change to 1,000 and 10,000 clients, beside Redis PUB/SUB and NATS; memory; a lock's grant meanwhile."""
    bench.node.checkpoint()
    for clients in (1000, 10000):
        commit = dict(database=bench.node.database().conninfo, statement=STATEMENT)
        bench.node.restart()  # memory per client is told only by a process that has not held others before
        changed = fan_out_ours(bench, clients, "changed", probe=1)
        payload = int(changed["event_bytes"])
        # The node takes ten messages a second of one workstation; more would measure its refusals.
        told = fan_out_ours(bench, clients, "tell", pause_ms=110)
        committed = fan_out_ours(bench, clients, "commit", **commit)
        peers = []
        for peer, target in ((servers.Redis, 1.2), (servers.Nats, 1.0)):
            if not peer_present(peer, topic):
                continue
            with peer(bench.scratch) as server:
                theirs = fan_out_run(bench, clients, wire=peer.wire, publish="publish", port=server.port,
                                     payload_bytes=payload, server_pid=server.pid, probe=int(peer is servers.Redis))
            peers.append((peer.name, target, theirs))
        title = f"{clients:,} clients"
        for name, target, theirs in peers:
            add_fan_out(topic, f"{title}, `changed`", changed, theirs, name, target)
            add_fan_out(topic, f"{title}, UPDATE and COMMIT", committed, theirs, name, target)
            add_fan_out(topic, f"{title}, `tell` to all (no database)", told, theirs, name, target)
            topic.figure(f"{title}: server memory per client", "KB", peer=name, limit=16).add(
                changed["bytes_per_client"] / 1024, theirs["bytes_per_client"] / 1024)
            if "grant_p99_us" in theirs:
                topic.figure(f"{title}: lock granted during fan-out, p99", "ms", peer=name, limit=5).add(
                    changed["grant_p99_us"] / 1000, theirs["grant_p99_us"] / 1000)
    topic.note("`changed` and UPDATE pass through PostgreSQL's log, its fsync and our journal; Redis and NATS keep nothing.")
    topic.note("Peers publish as many bytes as our event has. Client side: one epoll loop in one thread for all alike.")


STATEMENT = "UPDATE patient SET email = 'bench%d@example.org' WHERE id = (SELECT min(id::text)::uuid FROM patient)"


def commit(bench, topic):
    """From COMMIT to 100 clients; beside NOTIFY to 100 LISTEN connections of a plain PostgreSQL."""
    rounds = 100 if bench.quick else 400
    node = bench.node
    node.checkpoint()
    bench.plain.database.sql("CHECKPOINT")
    ours = bench.generate("fanout", wire="line", publish="commit", port=node.port, clients=100, publications=rounds, pause_ms=5,
                          token_file=node.token_file, database=node.database().conninfo, statement=STATEMENT)
    theirs = bench.generate("fanout", wire="notify", publish="commit", clients=100, publications=rounds, pause_ms=5,
                            database=bench.plain.database.conninfo, statement="NOTIFY bench, 'patient/4711 %d'")
    for name, limit in (("p50", 5), ("p95", None), ("p99", None)):
        topic.figure(f"commit → client, {name}", "ms", peer="LISTEN/NOTIFY", limit=limit).add(
            ours[f"each_{name}_us"] / 1000, theirs[f"each_{name}_us"] / 1000)
    topic.note("The clock starts when COMMIT is sent, in the process that also reads the clients. 100 clients, one change at a time.")
    topic.note("NOTIFY reaches only who listens right now, says no more than a text, and takes a global lock at commit.")
