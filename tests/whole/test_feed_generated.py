"""The journal against a second decoder of the same log, event for event, over generated schemas and transactions.

VERBUND_SEED=N makes the run of that seed, VERBUND_SEED=random another one each time; VERBUND_TRANSACTIONS=N makes it longer.
"""
import json
import os
import random
import subprocess
import threading
import unittest

from office import Office, wait_for
from second_decoder import SecondDecoder, captured_keys, journal, lines, replayed_history, shadow_differences, shadow_rows, without_truncated_rows
from somebody_elses_server import SomebodyElsesServer
from workload import Workload

SEED = os.environ.get("VERBUND_SEED", "2026")
SEED = random.SystemRandom().randrange(10**9) if SEED == "random" else int(SEED)
TRANSACTIONS = int(os.environ.get("VERBUND_TRANSACTIONS", "600"))
WRITERS = 4
CHUNK = 25
SETTINGS = {"max_prepared_transactions": 40, "max_connections": 150, "logical_decoding_work_mem": "64kB", "shared_buffers": "64MB"}


class Writers:
    """Several psql at once; each goes on with its next chunk of transactions when the server was gone."""

    def __init__(self, server, workload, transactions):
        self.server = server
        self.done = 0
        self.stopped = False
        self.arrived = threading.Condition()
        scripts = [workload.writer(number, transactions // WRITERS, CHUNK) for number in range(WRITERS)]
        self.all = sum(len(script) for script in scripts)
        self.threads = [threading.Thread(target=self._run, args=(script,), daemon=True) for script in scripts]
        for thread in self.threads:
            thread.start()

    def _run(self, scripts):
        for script in scripts:
            argv, environment = self.server.psql("-f", "-")
            # Statements may fail; psql goes on with the next, and ends when the server is gone.
            subprocess.run(argv, env=environment, input=script, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
            wait_for(self.server.answers, "the server takes connections again")
            with self.arrived:
                self.done += 1
                self.arrived.notify_all()
            if self.stopped:
                return

    def wait(self, count=None, patience=600):
        """Until `count` more chunks are written; without: until all are."""
        with self.arrived:
            goal = self.all if count is None else min(self.all, self.done + count)
            assert self.arrived.wait_for(lambda: self.done >= goal, patience), f"{self.done} of {self.all} chunks were written"
            return self.done < self.all


class Generated(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED} (VERBUND_SEED), {TRANSACTIONS} transactions (VERBUND_TRANSACTIONS)", flush=True)
        self.random = random.Random(SEED)
        self.workload = Workload(SEED)
        self.server = SomebodyElsesServer("logical", SETTINGS, schema=self.workload.schema())
        self.office = Office(demo=None)
        self.office.run("init", "--database", self.server.connection).check()
        config = self.office.data / "config" / "verbund.toml"
        config.write_text(config.read_text(encoding="utf-8") + self.workload.records(), encoding="utf-8")

    def tearDown(self):
        self.office.close()
        self.server.close()

    def settle(self):
        """Ends what was prepared and left, then waits until the feed has passed all that is committed."""
        # The last thing that was killed may have been a backend, after all had been written (seed 18).
        wait_for(self.server.answers, "the server takes connections again")
        for name in lines(self.server, "SELECT gid FROM pg_prepared_xacts"):
            self.server.sql(f"ROLLBACK PREPARED '{name}'")
        end = self.server.sql("SELECT pg_current_wal_insert_lsn()")

        def passed():
            status = self.office.run("--json", "status")
            return status.code == 0 and self.server.sql(f"SELECT '{status.json()['feed']['passed']}'::pg_lsn >= '{end}'") == "t"

        wait_for(passed, f"the feed passes {end}", 120)

    def compare(self, decoder):
        """Event for event, and the rows that came of it."""
        theirs = decoder.transactions(captured_keys(self.server))
        ours, csns = journal(self.server)
        self.assertEqual([csn for csn, following in zip(csns, csns[1:]) if following != csn + 1], [], "csns follow one another")
        for place, (mine, other) in enumerate(zip(ours, theirs)):
            self.assertEqual((mine[0], without_truncated_rows(mine[1])), (other[0], without_truncated_rows(other[1])),
                             f"transaction number {place} of seed {SEED}")
        self.assertEqual(len(ours), len(theirs), f"transactions of seed {SEED}: {(ours + theirs)[min(len(ours), len(theirs))]}")
        self.assertEqual(shadow_differences(self.server), [])
        self.replay_history(csns[-1])
        print(f"{len(ours)} transactions with {len(csns)} changes are the same in both decoders", flush=True)
        return ours

    def replay_history(self, last):
        """The versions of all records, done once more, give the tables."""
        wait_for(lambda: int(self.server.sql("SELECT csn FROM history.position", "SIQVersions")) >= last, "the history has caught up")
        history = {table: rows for table, rows in replayed_history(self.server).items() if rows}
        self.assertEqual(self.server.sql("SELECT kind FROM history.notice WHERE kind <> 'types'", "SIQVersions"), "", "no gap")
        there = shadow_rows(self.server)
        self.assertEqual(sorted(history), sorted(there))
        for table, rows in there.items():
            self.assertEqual(history[table], rows, table)

    def test_the_journal_is_what_a_second_decoder_reads(self):
        self.office.start()
        decoder = SecondDecoder(self.server)
        Writers(self.server, self.workload, TRANSACTIONS).wait()
        self.settle()
        ours = self.compare(decoder)
        self.assertGreater(len(ours), TRANSACTIONS // 5, "most transactions change something")
        # Excluded tables stay as they are: nothing of the application fails for want of a key.
        self.assertGreater(int(self.server.sql("SELECT n_tup_upd + n_tup_ins FROM pg_stat_user_tables WHERE relname = 'schluessellos'") or 1), 0)
        self.server.sql("INSERT INTO schluessellos VALUES (1, 'a'); UPDATE schluessellos SET notiz = 'b'; DELETE FROM schluessellos")

    def test_events_are_ordered_and_whole_whatever_is_killed(self):
        self.office.start()
        decoder = SecondDecoder(self.server)
        watcher = self.office.command("--json", "watch", "--changes")
        watcher.line(lambda line: "connected" in line, errors=True)
        writers = Writers(self.server, self.workload, TRANSACTIONS)
        while writers.wait(count=self.random.randrange(2, 6)):
            self.break_something()
        self.settle()
        self.compare(decoder)
        self.watched_everything(watcher)

    def break_something(self):
        kind = self.random.choice(["node", "sender", "backend"])
        print(f"killing a {kind}", flush=True)
        if kind == "node":
            self.office.kill()
            self.office.start()
        elif kind == "sender":
            self.server.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'verbund_feed' AND active")
        else:
            # kill -9 of a backend: PostgreSQL ends all sessions and recovers.
            pids = lines(self.server, "SELECT pid FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender')"
                                      " AND pid <> pg_backend_pid() ORDER BY pid")
            os.kill(int(self.random.choice(pids)), 9)

    def watched_everything(self, watcher):
        """Whoever did what the watcher was told, through all of it, has the records that there are. (Catching up, several
        transactions come as one event.)"""
        transactions = [int(line) for line in lines(self.server, "SELECT last_csn FROM feed.transaction WHERE event <> '{}' ORDER BY 1", "verbund_mid")]
        watcher.line(lambda line: int(json.loads(line).get("csn", 0)) >= transactions[-1], patience=60)
        told = [json.loads(line) for line in list(watcher.lines)]
        self.assertEqual([event for event in told if event["event"] == "snapshot"], [], "nothing was too old")
        told = [event for event in told if event["event"] == "changes"]
        csns = [int(event["csn"]) for event in told]
        self.assertEqual(csns, sorted(set(csns)))
        self.assertGreaterEqual(csns[-1], transactions[-1])
        # One event for several transactions bears the csn of the last, which may have changed no record (seed 13).
        everything = {int(line) for line in lines(self.server, "SELECT last_csn FROM feed.transaction", "verbund_mid")}
        self.assertEqual(set(csns) - everything, set())
        records, counted = set(), set()
        for event in told:
            self.follow(event, records)
            counted |= {part["type"] for part in event.get("bulk", [])}
        shadows = {(schema, table): shadow for schema, table, shadow in map(json.loads, lines(
            self.server, "SELECT json_build_array(schema_name, table_name, shadow) FROM feed.source_table", "verbund_mid"))}
        for name, root in self.workload.roots().items():
            if root in shadows and name not in counted:
                there = {f"{name}/{json.loads(line)}" for line in lines(self.server, f'SELECT to_json(verbund_key) FROM feed."{shadows[root]}"', "verbund_mid")}
                self.assertEqual({key for key in records if key.startswith(name + "/")}, there)

    def follow(self, event, records):
        for name in event.get("truncated", []):
            records -= {key for key in records if key.startswith(name + "/")}
        # A transaction's changes are one: keys may have been exchanged.
        before = {change.get("was", change["key"]) for change in event["changes"] if change["op"] != "insert"}
        after = {change["key"] for change in event["changes"] if change["op"] != "delete"}
        inserted = {change["key"] for change in event["changes"] if change["op"] == "insert"}
        self.assertEqual(before - records, set(), event)
        records -= before
        self.assertEqual(inserted & records, set(), event)
        records |= after


if __name__ == "__main__":
    unittest.main()
