"""Who is production: switchover, promotion with a known loss, fencing, waiting for a person, rejoining. T3, T4, B4, B5.

Two machines on one, over loopback; a writer logs every id that was acknowledged. Scenarios as docs/operations/mirror.md tells them.
"""
import json
import os
import signal
import subprocess
import threading
import time
import unittest

from office import BINARY, Office, Program, Workstation, wait_for
from test_mirror import Mirror, invite, open_for_mirrors, psql


class Writer:
    """An application with both servers in its connection string: one row after the other, each id kept once it was acknowledged."""

    def __init__(self, office, mirror, table):
        password = (office.data / "secrets" / "praxis").read_text().strip()
        self.environment = {**os.environ, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "2"}
        self.conninfo = (f"host={office.data / 'postgres' / 'run'},{mirror.data / 'postgres' / 'run'} port={office.database_port},{mirror.database_port()} "
                         "user=praxis dbname=praxis target_session_attrs=read-write")
        self.table = table
        self.acknowledged = []
        self.times = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        psql(office, f"CREATE TABLE {table} (id int PRIMARY KEY)")
        self.thread.start()

    def _run(self):
        number = 0
        while not self.ending.is_set():
            program = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.conninfo], text=True, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.environment)
            try:
                while not self.ending.is_set():
                    number += 1
                    program.stdin.write(f"INSERT INTO {self.table} VALUES ({number}) RETURNING id;\n")
                    program.stdin.flush()
                    if program.stdout.readline().strip() != str(number):
                        break
                    self.acknowledged.append(number)
                    self.times.append(time.monotonic())
            except BrokenPipeError:
                pass
            finally:
                program.kill()
                program.wait()
                program.stdin.close() if not program.stdin.closed else None
                program.stdout.close()

    def wait_more(self, count=20):
        had = len(self.acknowledged)
        wait_for(lambda: len(self.acknowledged) >= had + count, "the writer to write")

    def end(self):
        self.ending.set()
        self.thread.join(30)
        return set(self.acknowledged)

    def gap(self):
        return max(later - before for before, later in zip(self.times, self.times[1:]))


class Pair(unittest.TestCase):
    demo = None
    properties = {}

    def setUp(self):
        self.office = open_for_mirrors(Office(demo=self.demo, properties=self.properties)).start()
        self.mirror = Mirror(self.office)
        self.addCleanup(self.office.close)
        self.addCleanup(self.mirror.close)
        self.mirror.join(invite(self.office)).check()
        self.mirror.start()
        self.both_know()

    def state(self, side):
        done = side.run("--json", "mirror", "status")
        return done.json() if done.code == 0 else {}

    def both_know(self, production=None, mirror=None):
        """The one takes writes, the other follows it, and each has heard so."""
        def look():
            one, two = self.state(production or self.office), self.state(mirror or self.mirror)
            return (one.get("pair") and two.get("pair") and one["role"] == "production" and two["role"] == "mirror" and one["pair"]["peer"] and two["pair"]["peer"]
                    and one["pair"]["peer"].get("following") and one["pair"]["peer"]["alive"] and two["pair"]["peer"].get("open")
                    and two["pair"]["peer_asks"] and one["pair"]["term"] == two["pair"]["term"] and two["streaming"] and (one, two))
        return wait_for(look, "production and mirror to know of each other")

    def ids(self, side, table):
        if side is self.office:
            return {int(line) for line in psql(self.office, f"SELECT id FROM {table}").split()}
        code, output, errors = self.mirror.psql(f"SELECT id FROM {table}")
        self.assertEqual(code, 0, errors)
        return {int(line) for line in output.split()}

    def refused(self, outcome, words, code="pair_refused"):
        error = json.loads(outcome.output.splitlines()[-1])["error"]
        self.assertEqual(error["code"], code, error)
        self.assertRegex(error["message"], words)
        self.assertEqual(outcome.code, 4 if code == "pair_refused" else 2)

    def production_again(self, side):
        wait_for(lambda: self.state(side).get("role") == "production" and self.state(side)["pair"]["open"], "it to be production")


class Switchover(Pair):
    """Given production, its mirror and a program that writes, When a switchover is asked for, Then the mirror is production, nothing
    acknowledged is missing, and the old production follows; and the same way back."""

    def test_there_and_back(self):
        checks = self.office.run("--json", "mirror", "preflight").check().json()
        self.assertTrue(checks["good"], checks)
        steps = self.office.run("--json", "mirror", "switchover", "--dry-run").check().json()["steps"]
        self.assertEqual(len(steps), 7)
        self.assertIn("pg_promote", steps[5]["command"])
        self.assertEqual(self.state(self.office)["role"], "production", "a dry run does nothing")
        writer = Writer(self.office, self.mirror, "switched")
        writer.wait_more()
        done = self.office.run("--json", "mirror", "switchover").check().json()
        self.assertEqual(done["role"], "mirror")
        writer.wait_more()
        one, two = self.both_know(self.mirror, self.office)
        self.assertEqual((one["pair"]["term"], one["pair"]["member"]), ("2", "2"))
        self.assertEqual(two["pair"]["told_reason"], "")
        # The node that was production sends people to the new one; the new one takes them in.
        self.assertEqual(self.mirror.run("--json", "who").code, 0)
        refused = self.office.run("--json", "who", "--help")
        self.assertEqual(refused.code, 0)
        back = self.mirror.run("--json", "mirror", "switchover").check().json()
        self.assertEqual(back["role"], "mirror")
        writer.wait_more()
        acknowledged = writer.end()
        one, _ = self.both_know()
        self.assertEqual(one["pair"]["term"], "5", "each machine has terms of its own")
        missing = acknowledged - self.ids(self.office, "switched")
        self.assertEqual(missing, set(), "no acknowledged commit is lost")
        print(f"longest gap between two acknowledged writes: {writer.gap():.2f} s")

    def test_without_its_mirror_production_goes_on(self):
        self.mirror.stop()
        wait_for(lambda: not self.state(self.office)["pair"]["peer"]["alive"], "production to miss the mirror")
        checks = self.office.run("--json", "mirror", "preflight")
        self.assertEqual(checks.code, 4)
        self.refused(self.office.run("--json", "mirror", "switchover"), "the mirror does not answer")
        psql(self.office, "CREATE TABLE goes_on (n int)")
        self.refused(self.mirror.run("--json", "mirror", "switchover") if self.mirror.start() else None, "this machine is not production")


class Promotion(Pair):
    """Given a production that is gone, When the loss that was reported is accepted, Then the mirror is production, what is missing lies
    within the report, and the old production takes no write when it comes back."""

    def test_loss_token_fence_and_rejoin(self):
        report = self.mirror.run("--json", "mirror", "promote").check().json()
        self.refused(self.mirror.run("--json", "mirror", "promote", "--accept-loss", report["token"]), "production is alive|the report has changed")
        writer = Writer(self.office, self.mirror, "promoted")
        writer.wait_more()
        # What it writes from here on the mirror does not get.
        sender = int(subprocess.run(["pgrep", "-P", str(self.office.postmaster()), "-f", "walsender verbund_mirror"], stdout=subprocess.PIPE, check=True).stdout)
        os.kill(sender, signal.SIGSTOP)
        writer.wait_more(100)
        # The machine dies: node and PostgreSQL at once.
        postmaster = self.office.postmaster()
        os.kill(postmaster, signal.SIGKILL)
        self.office.kill()
        os.kill(sender, signal.SIGKILL)
        wait_for(lambda: not self.state(self.mirror)["pair"]["peer"]["alive"], "the mirror to miss production")
        shown = self.mirror.run("mirror", "promote").check().output
        self.assertIn("Lost would be at least", shown)
        report = self.mirror.run("--json", "mirror", "promote").check().json()
        self.assertEqual(report["kind"], "unknown")
        self.refused(self.mirror.run("--json", "mirror", "promote", "--accept-loss", "000000000000"), "the report has changed")
        self.refused(self.mirror.run("--json", "mirror", "promote", "--accept-loss", report["token"], "--switched-off", "nobody"), "is called", code="usage")
        self.mirror.run("--json", "mirror", "promote", "--accept-loss", report["token"]).check()
        writer.wait_more()
        acknowledged = writer.end()
        missing = acknowledged - self.ids(self.mirror, "promoted")
        self.assertGreaterEqual(len(missing), 100)
        # What the mirror had not received yet: the last ones before the machine died, and none in between.
        self.assertEqual(missing, set(range(min(missing), max(missing) + 1)) & acknowledged if missing else set())
        self.assertEqual(self.state(self.mirror)["pair"]["term"], "2")
        # It comes back: hears of the higher term before it takes a write.
        old = Program([BINARY, "--dir", str(self.office.data), "--json", "node", "--listen", f"127.0.0.1:{self.office.port}"])
        self.office.node = old
        started = json.loads(old.line(lambda line: '"started":true' in line or '"error"' in line))
        self.assertEqual(started["role"], "fenced", started)
        wait_for(lambda: self.state(self.office).get("pair"), "its node to answer")
        self.assertFalse(self.state(self.office)["pair"]["running"])
        self.office.run("--json", "mirror", "rejoin").check()
        lost = json.loads((self.office.data / "mirror" / "lost-1.json").read_text())
        self.assertGreaterEqual(int(lost["commits"]), len(missing))
        self.both_know(self.mirror, self.office)
        # It has no config/mirror.toml, and yet takes no sessions: its status was an error.
        self.assertIn("Spiegelserver", self.office.run("status", LC_ALL="de_DE.UTF-8").check().output)
        shown = self.office.run("--json", "mirror", "lost").check().json()
        rows = [row for row in shown["rows"] if row["table"] == "public.promoted"]
        # And perhaps the one under way, which nobody was told of.
        self.assertIn(sum(int(row["inserted"]) for row in rows) - len(missing), (0, 1), "as many rows as were acknowledged and are gone")
        self.assertIn(self.office.run("mirror", "lost", LC_ALL="de_DE.UTF-8").check().output.splitlines()[1].split()[0], ("Nichts", lost["commits"]))
        wait_for(lambda: self.ids(self.office, "promoted") >= acknowledged - missing, "the old production to have what the new one has")

    def test_a_production_without_answer_waits_for_a_person(self):
        name = self.state(self.office)["pair"]["peer"]["name"]
        self.mirror.stop()
        self.office.stop()
        node = Program([BINARY, "--dir", str(self.office.data), "--json", "node", "--listen", f"127.0.0.1:{self.office.port}"])
        self.office.node = node
        started = json.loads(node.line(lambda line: '"started":true' in line or '"error"' in line))
        self.assertEqual(started["role"], "waiting")
        self.assertTrue(self.state(self.office)["pair"]["waits_for_person"])
        self.refused(self.office.run("--json", "mirror", "open"), "only the other machine's answer")
        self.office.run("--json", "mirror", "open", "--switched-off", name).check()
        psql(self.office, "CREATE TABLE opened (n int)")
        self.assertEqual(self.state(self.office)["pair"]["term"], "5", "a term that the mirror can't have begun")
        self.mirror.start()
        self.both_know()
        wait_for(lambda: self.mirror.psql("SELECT count(*) FROM opened")[0] == 0, "the mirror to follow again")

    def test_a_fenced_production_stops_and_the_mirror_loses_nothing(self):
        writer = Writer(self.office, self.mirror, "fenced")
        writer.wait_more()
        self.mirror.run("mirror", "fence").check()
        wait_for(lambda: self.state(self.office).get("role") == "fenced" and not self.state(self.office)["pair"]["running"], "production to stop")
        wait_for(lambda: self.state(self.mirror)["pair"]["loss"]["kind"] == "none", "the mirror to know that it has everything")
        token = self.state(self.mirror)["pair"]["loss"]["token"]
        self.mirror.run("--json", "mirror", "promote", "--accept-loss", token).check()
        writer.wait_more()
        acknowledged = writer.end()
        self.assertEqual(acknowledged - self.ids(self.mirror, "fenced"), set())
        # Not by the back door either: a command that would start PostgreSQL by itself.
        self.office.stop()
        refused = self.office.run("--json", "dump", "-b", str(self.office.directory))
        self.assertNotEqual(refused.code, 0)
        self.assertIn("this machine is not production", refused.output + refused.errors)
        self.office.node = Program([BINARY, "--dir", str(self.office.data), "--json", "node", "--listen", f"127.0.0.1:{self.office.port}"])
        self.office.node.line(lambda line: '"started":true' in line)
        self.office.run("--json", "mirror", "rejoin").check()
        self.assertEqual(json.loads((self.office.data / "mirror" / "lost-1.json").read_text())["commits"], "0")
        self.both_know(self.mirror, self.office)


class Salvage(Pair):
    """Given a production whose machine is gone and whose disk can be read, and a mirror that had not received all, When its log is taken over from that disk, Then the promotion reports that nothing
    is lost, and nothing that was acknowledged is missing."""

    def test_what_the_mirror_lacks_is_taken_from_the_old_disk(self):
        writer = Writer(self.office, self.mirror, "salvaged")
        writer.wait_more()
        sender = int(subprocess.run(["pgrep", "-P", str(self.office.postmaster()), "-f", "walsender verbund_mirror"], stdout=subprocess.PIPE, check=True).stdout)
        os.kill(sender, signal.SIGSTOP)
        writer.wait_more(100)
        # More than a file of the log.
        psql(self.office, "CREATE TABLE large AS SELECT n, repeat(md5(n::text), 20) AS text FROM generate_series(1, 40000) n")
        writer.wait_more(100)
        name = self.state(self.mirror)["pair"]["peer"]["name"]
        disk = self.office.data / "postgres" / "data"
        self.refused(self.mirror.run("--json", "mirror", "salvage", "--from", str(disk), "--switched-off", name), "is not switched off: it answers")
        os.kill(self.office.postmaster(), signal.SIGKILL)
        self.office.kill()
        os.kill(sender, signal.SIGKILL)
        acknowledged = writer.end()
        wait_for(lambda: not self.state(self.mirror)["pair"]["peer"]["alive"], "the mirror to miss production")
        self.assertEqual(self.mirror.run("--json", "mirror", "promote").check().json()["kind"], "unknown")
        self.assertEqual(self.mirror.run("mirror", "salvage", "--from", str(disk), "--switched-off", "another").code, 2)
        wrong = self.mirror.run("--json", "mirror", "salvage", "--from", str(self.mirror.data / "config"), "--switched-off", name)
        self.assertIn("is needed, and", json.loads(wrong.output.splitlines()[-1])["error"]["message"])
        done = self.mirror.run("--json", "mirror", "salvage", "--from", str(disk), "--switched-off", name).check().json()
        self.assertGreater(int(done["bytes"]), 16 * 1024 * 1024)
        self.assertGreaterEqual(len(done["files"]), 2)
        report = self.mirror.run("--json", "mirror", "promote").check().json()
        self.assertEqual((report["kind"], report["bytes"]), ("none", "0"), report)
        self.mirror.run("--json", "mirror", "promote", "--accept-loss", report["token"], "--switched-off", name).check()
        self.production_again(self.mirror)
        self.assertEqual(acknowledged - self.ids(self.mirror, "salvaged"), set())
        self.assertEqual(self.mirror.psql("SELECT count(*) FROM large")[1], "40000")


class Thawed(Pair):
    """Given a production that stood still while its mirror was promoted, and that can't reach it, When a workstation comes back to it that has
    been at the new one, Then it takes no more writes."""

    def test_it_learns_of_the_promotion_from_a_workstation(self):
        name = self.state(self.mirror)["pair"]["peer"]["name"]
        frozen = [self.office.node.process.pid, self.office.postmaster()]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: [os.kill(pid, signal.SIGCONT) for pid in frozen if os.path.exists(f"/proc/{pid}")])
        wait_for(lambda: not self.state(self.mirror)["pair"]["peer"]["alive"], "the mirror to miss production")
        token = self.mirror.run("--json", "mirror", "promote").check().json()["token"]
        self.mirror.run("--json", "mirror", "promote", "--accept-loss", token, "--switched-off", name).check()
        workstation = Workstation(self.mirror.port)
        proof = workstation.register(self.office, "Empfang")["welcome"]["term_proof"]
        self.assertTrue(proof.startswith("2."), proof)
        workstation.close()
        self.mirror.stop()  # nobody tells the old one but its clients
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: self.state(self.office).get("role") == "production", "the old production to answer again")
        forged = Workstation(self.office.port)
        forged.ask("register", workstation="Labor", token=self.office.token, term_proof="6." + 64 * "0")
        self.assertEqual(self.state(self.office)["role"], "production", "only the pair's machines can prove a term")
        forged.close()
        back = Workstation(self.office.port)
        back.send("register", workstation="Empfang", token=self.office.token, term_proof=proof)
        wait_for(lambda: self.state(self.office).get("role") == "fenced" and not self.state(self.office)["pair"]["running"], "the old production to be fenced")
        self.assertEqual(self.state(self.office)["pair"]["seen"], "2")
        back.close()


class Workstations(Pair):
    """Given a workstation that holds a lock, When production dies and the mirror is promoted, Then the workstation finds the new production by
    itself, has its lock again, and hears of changes there."""
    demo = "synthetic"
    properties = {"reconnect.ms": 30_000}  # as an office has it: the new production waits that long for who was there

    def test_they_find_the_new_production_and_reclaim_their_locks(self):
        patient = psql(self.office, "SELECT id FROM patient ORDER BY id LIMIT 1")
        holder = self.office.command("--workstation", "Labor", "--json", "lock", f"patient/{patient}")
        holder.line(lambda line: f"patient/{patient}" in line)
        watcher = self.office.command("--workstation", "Empfang", "--json", "watch")
        watcher.line(lambda line: "connected" in line, errors=True)
        os.kill(self.office.postmaster(), signal.SIGKILL)
        self.office.kill()
        wait_for(lambda: not self.state(self.mirror)["pair"]["peer"]["alive"], "the mirror to miss production")
        token = self.mirror.run("--json", "mirror", "promote").check().json()["token"]
        self.mirror.run("--json", "mirror", "promote", "--accept-loss", token).check()

        def held():
            done = self.mirror.run("--json", "locks")
            return done.code == 0 and f"patient/{patient}" in done.output and "Labor" in done.output
        wait_for(held, "the lock to be reclaimed at the new production")
        # Between two histories nobody can say what a cursor has seen: it is told to read anew, and hears what comes after that.
        watcher.line(lambda line: '"snapshot"' in line)
        seen = len(watcher.lines)
        self.assertEqual(self.mirror.psql(f"UPDATE patient SET birth_date = '1950-05-05' WHERE id = '{patient}'")[0], 0)
        wait_for(lambda: any(f"patient/{patient}" in line for line in watcher.lines[seen:]), "the watcher to hear of a change at the new production")
        self.assertIsNone(holder.process.poll(), holder.errors)


if __name__ == "__main__":
    unittest.main()
