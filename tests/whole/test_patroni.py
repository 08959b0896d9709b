"""Nodes on a Patroni cluster (real etcd, real members, on loopback): they follow its leader, never promote, take over from each other. Issue 6, 9."""
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.request

from office import Office, Program, BINARY, Workstation, wait_for
from patroni_cluster import PASSWORD, USER, PatroniCluster, free_ports, missing
from somebody_elses_server import RECORD

LEASE = 5


class Writer:
    """A program of the office: writes record after record wherever the cluster takes it, and keeps what was acknowledged."""

    def __init__(self, cluster, first):
        self.connection, self.next = cluster.connection(), first
        self.acknowledged, self.longest_gap, self.last = [], 0.0, time.monotonic()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        link = None
        while not self.ending.is_set():
            number = self.next
            self.next += 1  # one that was not acknowledged may stand there all the same
            link = link or subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.connection + " connect_timeout=2", "-f", "-"],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                link.stdin.write(f"INSERT INTO akte VALUES ({number}, 'geschrieben') RETURNING nummer;\n")
                link.stdin.flush()
                said = link.stdout.readline().strip()
            except OSError:
                said = ""
            if said == str(number):
                now = time.monotonic()
                self.longest_gap = max(self.longest_gap, now - self.last)
                self.last = now
                self.acknowledged.append(number)
            else:
                self.drop(link)
                link = None
            self.ending.wait(0.02)
        if link is not None:
            self.drop(link)

    @staticmethod
    def drop(link):
        link.kill()
        link.wait(10)
        link.stdout.close()
        try:
            link.stdin.close()
        except OSError:
            pass

    def end(self):
        self.ending.set()
        self.thread.join(20)
        return self.acknowledged


def office_on(cluster, name, copy_of=None):
    """An installation on the cluster; a second one begins as a copy of the first's settings, secrets and certificates."""
    office = Office(demo=None)
    if copy_of is None:
        office.run("init", "--database", cluster.connection()).check()
        config = office.data / "config" / "verbund.toml"
        secret = office.data / "secrets" / "patroni"
        secret.write_text(PASSWORD + "\n", encoding="utf-8")
        text = config.read_text(encoding="utf-8").replace("[cluster]\n", '[cluster]\nprovider = "patroni"\npatroni = [' + ", ".join(f'"{m.rest}"' for m in cluster.members)
                                                          + f']\npatroni_user = "{USER}"\npatroni_password_file = "secrets/patroni"\nlease = {LEASE}\n')
        config.write_text(text + RECORD, encoding="utf-8")
        properties = office.data / "config" / "P2P.properties"
        kept = [line for line in properties.read_text(encoding="utf-8").splitlines() if line.split("=")[0].strip() not in office.properties]
        properties.write_text("\n".join(kept + [f"{k}={v}" for k, v in office.properties.items()]) + "\n", encoding="utf-8")
    else:
        office.data.mkdir()
        for part in ("config", "secrets", "tls"):
            shutil.copytree(copy_of.data / part, office.data / part)
        for part in ("adoption.json", "administrator.txt"):
            shutil.copy(copy_of.data / part, office.data / part)
    office.port, = free_ports(1)
    config = office.data / "config" / "verbund.toml"
    text = config.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(("address = ", "name = \"knoten"))]
    text = "\n".join(lines).replace("[cluster]\n", f'[cluster]\naddress = "127.0.0.1:{office.port}"\n').replace("[node]\n", f'[node]\nname = "knoten-{name}"\n')
    config.write_text(text + "\n", encoding="utf-8")
    if copy_of is not None:
        client = (copy_of.data / "client.toml").read_text(encoding="utf-8").replace(f":{copy_of.port}", f":{office.port}")
        (office.data / "client.toml").write_text(client, encoding="utf-8")
    return office


def start(office, role):
    office.node = Program([BINARY, "--dir", str(office.data), "--json", "up", "--yes", "--listen", f"127.0.0.1:{office.port}"])
    started = json.loads(office.node.line(lambda line: '"started":true' in line or '"error"' in line))
    assert started.get("role") == role, started
    office._read_login()
    return office


def seat(office):
    done = office.run("--json", "mirror", "status")
    return json.loads(done.output) if done.code == 0 else {}


def wait_for_work(office, above, patience=40):
    """The node holds the seat with a higher term and its feed runs; gives the term."""
    def works():
        done = office.run("--json", "status")
        status = json.loads(done.output) if done.code == 0 else {}
        ready = status and status["node"]["role"] == "production" and status["node"]["term"] > above and status["feed"]["state"] == "running"
        return status["node"]["term"] if ready else None

    return wait_for(works, f"{office.data} works with a term above {above}", patience)


def told_since(office, cursor, last):
    """Keys inserted since the cursor, in order, up to `last`; a snapshot is its reason."""
    station = office.workstation("Nachleser", cursor=cursor).keep_alive()

    def keys():
        found = []
        for event in list(station.events):
            if event["event"] == "snapshot":
                found.append(event["reason"])
            if event["event"] == "changes":
                found += [int(change["key"].split("/")[1]) for change in event["changes"] if change["op"] == "insert"]
        return found

    wait_for(lambda: last in keys() or any(isinstance(key, str) for key in keys()), f"record {last} is told")
    station.close()
    return keys()


@unittest.skipIf(missing(), missing())
class OnPatroni(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = PatroniCluster(3, synchronous=True)
        cls.cluster.sql("CREATE DATABASE praxis", "postgres")
        cls.cluster.sql("CREATE TABLE akte (nummer int PRIMARY KEY, betreff text)")

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def forget(self, *offices):
        """Another test begins on a cluster that knows of no node."""
        for office in offices:
            office.close()
        for member in self.cluster.members:
            if member.process is None:
                member.start()
        self.cluster.wait_whole()
        self.cluster.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_type = 'logical' AND active; SELECT pg_drop_replication_slot(slot_name)"
                         " FROM pg_replication_slots WHERE slot_type = 'logical'; TRUNCATE akte; DROP PUBLICATION IF EXISTS verbund")
        for database in ("verbund_mid", '"SIQVersions"'):
            self.cluster.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", "postgres")

    def test_the_node_follows_the_leader_and_nothing_acknowledged_is_lost_or_told_twice(self):
        office = office_on(self.cluster, "a")
        try:
            start(office, "production")
            status = office.run("--json", "mirror", "status").check().json()
            self.assertEqual((status["provider"], status["role"], status["cluster"]["scope"]), ("patroni", "production", "praxis"))
            self.assertEqual({m["name"] for m in status["cluster"]["members"]}, {"pg1", "pg2", "pg3"})
            self.assertEqual(status["cluster"]["leader"], self.cluster.leader().name)
            self.assertIn(f"leader {self.cluster.leader().name}", office.run("mirror", "status").check().output)
            with urllib.request.urlopen(f"http://127.0.0.1:{office.port}/metrics", timeout=10) as answer:
                metrics = answer.read().decode()
            for line in ("verbund_patroni_members 3", "verbund_seat_held 1", "verbund_patroni_reachable 1"):
                self.assertIn(line, metrics)

            station = office.workstation("Sekretariat").keep_alive()
            cursor = station.welcome["cursor"]
            lock = station.ask("lock", keys=["akte/1"])
            self.assertTrue(lock["ok"], lock)
            token = int(lock["token"])
            writer = Writer(self.cluster, 1)
            wait_for(lambda: len(writer.acknowledged) > 5, "the writer writes")

            self.refused_switchovers(office)
            before = wait_for_work(office, 0)
            target = next(m for m in self.cluster.view()["members"] if m["role"] == "sync_standby")["name"]
            plan = office.run("--json", "mirror", "switchover", "--to", target, "--dry-run").check().json()
            self.assertEqual((plan["from"], plan["to"], plan["switched"]), (self.cluster.leader().name, target, False))
            done = office.run("--json", "mirror", "switchover", "--to", target).check().json()
            self.assertTrue(done["switched"])
            self.assertEqual(self.cluster.leader().name, target)
            after = wait_for_work(office, before)

            # The session is the same one; its lock is claimed back, and the next token is a higher one.
            back = Workstation(office.port)
            reply = back.ask("resume", session=station.welcome["session"], secret=station.welcome["secret"], cursor=cursor,
                             reclaim=[{"key": "akte/1", "token": str(token)}])
            self.assertTrue(reply["ok"] and reply["welcome"]["resumed"], reply)
            back.keep_alive()
            self.assertTrue(back.ask("unlock", keys=["akte/1"])["ok"])
            again = back.ask("lock", keys=["akte/1"])
            self.assertTrue(again["ok"], again)
            self.assertGreater(int(again["token"]), token)

            self.cluster.wait_whole()
            wait_for(lambda: any(m["role"] == "sync_standby" for m in self.cluster.view()["members"]), "a synchronous member")
            count = len(writer.acknowledged)
            self.cluster.leader().kill()
            wait_for_work(office, after)
            wait_for(lambda: len(writer.acknowledged) > count + 20, "the writer goes on")
            acknowledged = writer.end()
            present = {int(n) for n in self.cluster.sql("SELECT nummer FROM akte").split()}
            self.assertEqual(set(acknowledged) - present, set(), "acknowledged, and lost")
            told = told_since(office, cursor, max(present))
            self.assertEqual([key for key in told if isinstance(key, str)], [], "the history goes on: nothing was told that was taken back")
            self.assertEqual(sorted(told), sorted(present), "each record told once, none missing")
            self.assertGreater(len(present), 40)
        finally:
            self.forget(office)

    def refused_switchovers(self, office):
        leader = self.cluster.leader().name
        for words, code, says in ((("--to", "pg9"), 4, "no member pg9"), (("--to", leader), 2, "leads already")):
            refused = office.run("mirror", "switchover", *words)
            self.assertEqual(refused.code, code, refused.errors)
            self.assertIn(says, refused.errors)
        secret = office.data / "secrets" / "patroni"
        secret.write_text("falsch\n", encoding="utf-8")
        refused = office.run("mirror", "switchover")
        secret.write_text(PASSWORD + "\n", encoding="utf-8")
        self.assertEqual(refused.code, 4, refused.errors)
        self.assertIn("another user or password", refused.errors)
        self.cluster.configure({"pause": True})
        wait_for(lambda: self.cluster.view().get("pause"), "Patroni is paused")
        refused = office.run("mirror", "switchover", LC_ALL="de_DE.UTF-8", LANGUAGE="de")
        self.cluster.configure({"pause": None})
        self.assertEqual(refused.code, 3, refused.errors)
        self.assertIn("angehalten", refused.errors)
        wait_for(lambda: not self.cluster.view().get("pause"), "Patroni goes on")
        self.assertEqual(self.cluster.leader().name, leader)

    def test_another_node_takes_over_and_the_former_holder_writes_nothing_more(self):
        first = office_on(self.cluster, "a")
        second = None
        try:
            start(first, "production")
            second = start(office_on(self.cluster, "b", first), "standby")
            station = Workstation(second.port)
            reply = station.ask("register", workstation="Verirrt", app="test", token=first.token)
            self.assertFalse(reply["ok"])
            self.assertEqual((reply["error"]["code"], reply["error"]["servers"]), ("unavailable", [f"127.0.0.1:{first.port}"]))
            waiting = wait_for(lambda: seat(first).get("seat", {}).get("waiting"), "the holder knows who waits")
            self.assertEqual(waiting[0]["name"], "knoten-b")
            self.assertEqual(second.run("--json", "status").check().json()["node"]["role"], "standby")
            worker = first.workstation("Sekretariat").keep_alive()
            cursor = worker.welcome["cursor"]
            self.assertTrue(worker.ask("lock", keys=["akte/7"])["ok"])
            self.cluster.sql("INSERT INTO akte VALUES (1, 'vorher')")
            worker.event("changes")
            before = wait_for_work(first, 0)

            first.node.send_signal(signal.SIGSTOP)
            wait_for_work(second, before, LEASE + 15)
            self.cluster.sql("INSERT INTO akte VALUES (2, 'nachher')")
            self.assertEqual(told_since(second, cursor, 2), [1, 2])
            sessions = self.cluster.sql("SELECT count(*) FROM node.session", "verbund_mid")
            first.node.send_signal(signal.SIGCONT)
            wait_for(lambda: (seat(first).get("role"), seat(first).get("seat", {}).get("holder")) == ("standby", "knoten-b"), "the thawed node waits")
            self.assertLessEqual(int(self.cluster.sql("SELECT count(*) FROM node.session", "verbund_mid")), int(sessions))
            with self.assertRaises(AssertionError) as refused:
                self.cluster.sql(f"SET verbund.term = {before}; UPDATE feed.position SET csn = csn", "verbund_mid")
            self.assertIn("another node holds the lock authority", str(refused.exception))

            # In order nobody has to wait for the lease.
            second.stop()
            wait_for_work(first, before + 1, LEASE + 15)
        finally:
            if first.node and first.node.process.poll() is None:
                first.node.send_signal(signal.SIGCONT)
            self.forget(first, *([second] if second else []))

    def test_a_former_leader_that_nobody_looks_after_is_left_alone(self):
        """Only Patroni dies; its PostgreSQL takes writes on. The office's node must not stay there."""
        office = office_on(self.cluster, "a")
        try:
            start(office, "production")
            before = wait_for_work(office, 0)
            former = self.cluster.leader()
            self.cluster.configure({"synchronous_mode": False})
            former.kill_patroni()
            wait_for(lambda: self.cluster.leader(), "another member leads", 40)
            wait_for_work(office, before)
            self.assertEqual(seat(office)["cluster"]["leader"], self.cluster.leader().name)
            self.cluster.sql("INSERT INTO akte VALUES (11, 'beim neuen')")
            station = office.workstation("Sekretariat", watch={"types": ["*"], "locks": False, "presence": False}).keep_alive()
            self.cluster.sql("INSERT INTO akte VALUES (12, 'beim neuen')")
            station.event("changes", lambda event: any(c["key"] == "akte/12" for c in event["changes"]))
            former.kill()
        finally:
            self.forget(office)
            self.cluster.configure({"synchronous_mode": True})

    def test_what_was_told_and_then_taken_back_makes_clients_read_anew(self):
        """Asynchronous: the leader dies with a commit that no follower has, but the workstations have heard of."""
        office = office_on(self.cluster, "a")
        try:
            start(office, "production")
            before = wait_for_work(office, 0)
            self.cluster.configure({"synchronous_mode": False})
            wait_for(lambda: self.cluster.sql("SHOW synchronous_standby_names") == "", "commits wait for nobody")
            station = office.workstation("Sekretariat").keep_alive()
            cursor = station.welcome["cursor"]
            leader = self.cluster.leader()
            for pid in self.cluster.sql("SELECT pid FROM pg_stat_replication WHERE application_name LIKE 'pg_'").split():
                os.kill(int(pid), signal.SIGSTOP)
            self.cluster.sql("INSERT INTO akte VALUES (31, 'geht verloren')")
            told = station.event("changes")
            leader.kill()
            wait_for_work(office, before)
            self.assertEqual(self.cluster.sql("SELECT count(*) FROM akte"), "0", "no follower has had it")
            back = office.workstation("Empfang", cursor={"history": told["history"], "csn": told["csn"]}).keep_alive()
            self.assertEqual(back.event("snapshot")["reason"], "history_changed")
            self.cluster.sql("INSERT INTO akte VALUES (32, 'danach')")
            event = back.event("changes", lambda event: any(c["key"] == "akte/32" for c in event["changes"]))
            self.assertNotEqual(event["history"], cursor["history"])
            self.assertGreater(int(event["csn"]), int(told["csn"]), "no number is given twice")
        finally:
            self.forget(office)
            self.cluster.configure({"synchronous_mode": True})

    def test_what_is_no_patroni_is_named_and_the_office_works_on(self):
        office = office_on(self.cluster, "a")
        config = office.data / "config" / "verbund.toml"
        good = config.read_text(encoding="utf-8")
        try:
            for words, says in (((f'"{self.cluster.members[0].rest}"', '"10.0.0.1:8008"'), "http://HOST:PORT"), ((f"lease = {LEASE}", "lease = 2"), "lease"),
                                ((good[good.index("patroni = ["):].split("\n")[0], "patroni = []"), "one to 64 addresses"), (('provider = "patroni"', 'provider = "etcd"'), "provider")):
                config.write_text(good.replace(*words), encoding="utf-8")
                refused = office.run("up", "--yes", "--listen", "127.0.0.1:0")
                self.assertEqual(refused.code, 2, refused.errors)
                self.assertIn(says, refused.errors)
            with socket.socket() as stranger:
                stranger.bind(("127.0.0.1", 0))
                stranger.listen(16)
                self.answers = b'HTTP/1.0 200 OK\r\n\r\n{"members": [{"name": 7}]}'
                threading.Thread(target=self.answer, args=(stranger,), daemon=True).start()
                addresses = good[good.index("patroni = ["):].split("\n")[0]
                config.write_text(good.replace(addresses, f'patroni = ["http://127.0.0.1:{stranger.getsockname()[1]}"]'), encoding="utf-8")
                start(office, "production")
                wait_for(lambda: "not a readable text" in seat(office)["cluster"]["error"], "nonsense is named")
                refused = office.run("mirror", "switchover")
                self.assertEqual(refused.code, 4, refused.errors)
                self.answers = b"HTTP/1.0 200 OK\r\n\r\n" + b" " * 400_000
                wait_for(lambda: seat(office)["cluster"]["error"] and "readable text" not in seat(office)["cluster"]["error"], "what is too long is named")
                self.answers = b'HTTP/1.0 200 OK\r\n\r\n{"members": [{"name": "pg1", "role": "replica", "state": "running"}]}'
                wait_for(lambda: not seat(office)["cluster"]["error"], "an answer without leader is one")
                refused = office.run("mirror", "switchover")
                self.assertEqual(refused.code, 3, refused.errors)
                self.assertIn("no leader", refused.errors)
            wait_for(lambda: "connect" in seat(office)["cluster"]["error"], "nobody answers")
            self.cluster.sql("INSERT INTO akte VALUES (21, 'ohne Auskunft')")
            self.assertEqual(office.run("--json", "status").check().json()["feed"]["state"], "running")
        finally:
            self.forget(office)

    def answer(self, stranger):
        while True:
            try:
                link, _ = stranger.accept()
                link.recv(65536)
                link.sendall(self.answers)
                link.close()
            except OSError:
                if stranger.fileno() < 0:
                    return


if __name__ == "__main__":
    unittest.main()
