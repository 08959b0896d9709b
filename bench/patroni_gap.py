#!/usr/bin/env python3
"""What a program sees of Patroni's switchover: the longest time between two commits that were acknowledged to it. Beside ours in bench/mirror_figures.py.

patroni_gap.py [--rounds N] [--defaults] prints the figures as JSON; it needs patroni and etcd (tools/install-deps) and ends all that it starts.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "whole"))
from office import wait_for  # noqa: E402
from patroni_cluster import PatroniCluster, missing  # noqa: E402


class Writer:
    """One connection, one row per transaction, as fast as they are acknowledged; connects anew until it may write again."""

    def __init__(self, connection):
        self.connection, self.number, self.acknowledged, self.times = connection, 0, [], []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        link = None
        while not self.ending.is_set():
            self.number += 1
            link = link or subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.connection + " connect_timeout=2", "-f", "-"],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                link.stdin.write(f"INSERT INTO gap VALUES ({self.number}) RETURNING n;\n")
                link.stdin.flush()
                said = link.stdout.readline().strip()
            except OSError:
                said = ""
            if said == str(self.number):
                self.times.append(time.monotonic())
                self.acknowledged.append(self.number)
            else:
                link.kill()
                link.wait(10)
                link = None
        if link is not None:
            link.kill()
            link.wait(10)

    def end(self):
        self.ending.set()
        self.thread.join(30)

    def gap_since(self, start):
        """Seconds; the time until the first acknowledgement after `start` counts from the last one before."""
        times = [t for t in list(self.times) if t >= start]
        before = [t for t in list(self.times) if t < start][-1:]
        times = before + times
        return max((b - a for a, b in zip(times, times[1:])), default=None)


def patroni_switchover_gap(rounds=3, defaults=False):
    """Seconds of each round's gap, and what was acknowledged and is not there. `defaults`: Patroni's own ttl and loop_wait instead of fast ones."""
    if missing():
        raise RuntimeError(missing())
    times = {"ttl": 30, "loop_wait": 10, "retry_timeout": 10} if defaults else {}
    cluster = PatroniCluster(2, **times)
    try:
        cluster.sql("CREATE DATABASE praxis", "postgres")
        cluster.sql("CREATE TABLE gap (n bigint PRIMARY KEY)")
        writer = Writer(cluster.connection())
        gaps = []
        for _ in range(rounds):
            cluster.wait_whole()
            count = len(writer.acknowledged)
            wait_for(lambda: len(writer.acknowledged) > count + 200, "the writer writes")
            start, leader = time.monotonic(), cluster.leader()
            target = next(member for member in cluster.members if member is not leader)
            cluster.call("POST", "/switchover", {"leader": leader.name, "candidate": target.name})
            wait_for(lambda: cluster.leader() is target, "the other member leads", 60)
            count = len(writer.acknowledged)
            wait_for(lambda: len(writer.acknowledged) > count + 200, "the writer goes on", 60)
            gaps.append(writer.gap_since(start))
        writer.end()
        present = {int(n) for n in cluster.sql("SELECT n FROM gap").split()}
        return {"gaps_s": [round(gap, 3) for gap in gaps], "acknowledged": len(writer.acknowledged), "lost": len(set(writer.acknowledged) - present)}
    finally:
        cluster.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--defaults", action="store_true")
    given = options.parse_args()
    print(json.dumps(patroni_switchover_gap(given.rounds, given.defaults)))
