"""Faults: killed nodes, killed databases, second nodes, torn cables. LESSONS "Locks, presence, feed"."""
import json
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

from office import Office, Program, Workstation, BINARY, wait_for


class KilledNode(unittest.TestCase):
    """Given a node that is killed with kill -9 and started again."""

    def setUp(self):
        self.office = Office().start()

    def tearDown(self):
        self.office.close()

    def test_sessions_resume_locks_are_reclaimed_watchers_have_no_gap(self):
        patient = self.office.a_patient()
        key = f"patient/{patient}"
        holder = self.office.workstation("Sprechzimmer 1")
        watcher = self.office.workstation("Empfang 1")
        token = int(holder.ask("lock", keys=[key])["token"])
        self.office.psql(f"UPDATE patient SET given_name = 'vorher' WHERE id = '{patient}'")
        cursor = {"history": watcher.event("changes")["history"], "csn": watcher.event("changes")["csn"]}
        old_postmaster = self.office.postmaster()
        self.office.kill()
        # The orphaned PostgreSQL still takes writes; the feed must not lose them.
        self.office.psql(f"UPDATE patient SET given_name = 'waisenkind' WHERE id = '{patient}'")
        self.office.start()
        self.assertNotEqual(self.office.postmaster(), old_postmaster)

        other = Workstation(self.office.port)
        other.register(self.office, "Labor")
        early = other.ask("lock", keys=[key])
        self.assertFalse(early["ok"])
        self.assertIn(early["error"]["code"], ("reclaiming", "held"))

        resumed = Workstation(self.office.port)
        reply = resumed.ask("resume", session=holder.welcome["session"], secret=holder.welcome["secret"],
                            reclaim=[{"key": key, "token": str(token)}])
        self.assertTrue(reply["ok"], reply)
        self.assertTrue(reply["welcome"]["resumed"])
        self.assertEqual([h["key"] for h in reply["welcome"]["held"]], [key])
        self.assertGreaterEqual(int(reply["welcome"]["held"][0]["token"]), token)
        resumed.keep_alive()

        back = Workstation(self.office.port)
        reply = back.ask("resume", session=watcher.welcome["session"], secret=watcher.welcome["secret"], cursor=cursor)
        self.assertTrue(reply["ok"], reply)
        event = back.event("changes")
        self.assertEqual(event["history"], cursor["history"])
        self.assertGreater(int(event["csn"]), int(cursor["csn"]))
        self.assertEqual([c["key"] for c in event["changes"]], [key])

        # Everyone known is back, so the window has ended: other records can be locked, this one not.
        held = wait_for(lambda: other.ask("lock", keys=[key]).get("error", {}).get("holder"), "the holder is told")
        self.assertEqual(held["workstation"], "Sprechzimmer 1")
        free = f"patient/{self.office.a_patient(1)}"
        granted = wait_for(lambda: (r := other.ask("lock", keys=[free]))["ok"] and r, "a free record can be locked")
        self.assertGreater(int(granted["token"]), token)

    def test_a_watching_command_goes_on_by_itself(self):
        patient = self.office.a_patient()
        watcher = self.office.command("watch", "--changes")
        watcher.line(lambda line: "connected" in line, errors=True)
        self.office.kill()
        watcher.line(lambda line: "no connection" in line, errors=True)
        self.office.start()
        self.office.psql(f"UPDATE patient SET given_name = 'nachher' WHERE id = '{patient}'")
        watcher.line(lambda line: f"patient/{patient}" in line)
        self.assertEqual(watcher.end(signal.SIGINT), 0)

    def test_who_was_told_not_to_edit_is_told_to_go_on(self):
        key = f"patient/{self.office.a_patient()}"
        holder = self.office.command("--workstation", "Labor", "lock", key)
        holder.line(lambda line: "locked" in line)
        self.office.kill()
        holder.line(lambda line: "don't edit" in line, errors=True)
        self.office.start()
        holder.line(lambda line: "connected again" in line, errors=True)
        self.assertIn("Labor", self.office.run("locks").check().output)
        self.assertEqual(holder.end(signal.SIGINT), 0)

    def test_a_plain_stop_and_start_keeps_everything(self):
        patients = self.office.psql("SELECT count(*) FROM patient")
        self.office.stop()
        self.assertIsNone(self.office.postmaster())
        self.office.start()
        self.assertEqual(self.office.psql("SELECT count(*) FROM patient"), patients)
        self.assertTrue(self.office.workstation("Empfang 1").welcome)


class RunningNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def test_a_second_node_on_the_same_directory_is_refused_with_the_first_one_s_pid(self):
        second = subprocess.run([BINARY, "--dir", str(self.office.data), "node", "--listen", "127.0.0.1:0"], capture_output=True,
                                text=True, timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"})
        self.assertEqual(second.returncode, 4)
        self.assertIn(str(self.office.node.process.pid), second.stderr)

    def test_a_killed_postgres_is_started_again_and_the_feed_goes_on(self):
        station = self.office.workstation("Empfang 1").keep_alive()
        pid = self.office.postmaster()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.office.postmaster() not in (None, pid), "a new postmaster")

        def write():
            try:
                self.office.psql("UPDATE patient SET given_name = 'nach dem Absturz' WHERE id = (SELECT min(id::text) FROM patient)::%s" %
                                 self.office.psql("SELECT pg_typeof(id) FROM patient LIMIT 1"))
                return True
            except AssertionError:
                return False

        wait_for(write, "the database takes writes")
        station.event("changes")
        self.assertTrue(station.ask("lock", keys=["patient/x"])["ok"], "locks do not need the database")
        station.close()

    def test_a_new_connection_supersedes_its_half_open_predecessor(self):
        old = self.office.workstation("Labor")
        new = Workstation(self.office.port)
        reply = new.ask("resume", session=old.welcome["session"], secret=old.welcome["secret"])
        self.assertTrue(reply["ok"], reply)
        self.assertEqual(old.event("closing")["reason"], "superseded")
        old.wait_closed()
        self.assertTrue(new.ask("lock", keys=["patient/y"])["ok"])
        new.close()

    def test_a_torn_connection_keeps_its_lock_during_the_window(self):
        old = self.office.workstation("Labor")
        observer = self.office.workstation("Empfang 1").keep_alive()
        self.assertTrue(old.ask("lock", keys=["patient/z"])["ok"])
        old.tear()
        observer.event("session.state", lambda e: e["session"] == old.welcome["session"] and e["state"] == "reconnecting")
        self.assertEqual(observer.ask("lock", keys=["patient/z"])["error"]["code"], "held")
        new = Workstation(self.office.port)
        reply = new.ask("resume", session=old.welcome["session"], secret=old.welcome["secret"])
        self.assertEqual([h["key"] for h in reply["welcome"]["held"]], ["patient/z"])
        new.close()
        observer.close()

    def test_a_frozen_client_loses_its_lock_and_is_told_by_its_own_clock(self):
        observer = self.office.workstation("Empfang 1").keep_alive()
        frozen = self.office.command("--workstation", "Labor", "lock", "patient/frozen")
        frozen.line(lambda line: "locked" in line)
        frozen.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        observer.event("lock.released", lambda e: "patient/frozen" in e["keys"])
        self.assertGreater(time.monotonic() - begun, 1.5, "not before the lease is over")
        self.assertTrue(observer.ask("lock", keys=["patient/frozen"])["ok"])
        frozen.send_signal(signal.SIGCONT)
        frozen.line(lambda line: "work lock lost" in line or "no connection" in line, errors=True)
        self.assertEqual(frozen.wait(), 4)
        observer.close()

    def test_pongs_prove_the_wire_and_not_the_program(self):
        """A browser answers WebSocket pings by itself, also when its page hangs: only `beat` keeps a lease (LESSONS)."""
        observer = self.office.workstation("Empfang 1").keep_alive()
        hanging = socket.create_connection(("127.0.0.1", self.office.port))
        self.addCleanup(hanging.close)
        hanging.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        self.assertIn(b"101", hanging.recv(4096))

        def frame(kind, payload):  # masked with zeros; RFC 6455, 5.2
            size = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0x80 | 126]) + len(payload).to_bytes(2, "big")
            return bytes([0x80 | kind]) + size + bytes(4) + payload

        request = {"op": "register", "id": 1, "token": self.office.token, "workstation": "Hängt"}
        hanging.sendall(frame(1, json.dumps(request).encode()) + frame(1, json.dumps({"op": "lock", "id": 2, "keys": ["patient/hang"]}).encode()))
        observer.event("lock.granted", lambda e: any(lock["key"] == "patient/hang" for lock in e["locks"]))
        ended = threading.Event()

        def answer_pings():
            while not ended.wait(0.2):
                try:
                    hanging.sendall(frame(10, b"") + frame(9, b"still here"))
                except OSError:
                    return
        threading.Thread(target=answer_pings, daemon=True).start()
        self.addCleanup(ended.set)
        observer.event("session.state", lambda e: e["state"] == "suspect")
        observer.event("lock.released", lambda e: "patient/hang" in e["keys"])
        observer.event("session.left", lambda e: e["workstation"] == "Hängt" and e["reason"] == "lost")
        observer.close()


class UnusableDirectory(unittest.TestCase):
    def test_a_bad_setting_names_file_line_and_range(self):
        office = Office(properties={"heartbeat.ms": 5}).init()
        try:
            for words in (("config", "check"), ("node",)):
                outcome = office.run(*words)
                self.assertEqual(outcome.code, 2, outcome.errors)
                self.assertRegex(outcome.errors, r"P2P\.properties:\d+: heartbeat\.ms = 5")
                self.assertIn("500", outcome.errors)
        finally:
            office.close()

    def test_a_misspelt_setting_is_refused_with_the_nearest_known(self):
        office = Office(properties={"hartbeat.ms": 5000}).init()
        try:
            outcome = office.run("config", "check")
            self.assertEqual(outcome.code, 2)
            self.assertIn("heartbeat.ms", outcome.errors)
        finally:
            office.close()

    def test_no_node_answers_with_exit_code_3(self):
        office = Office().start()
        try:
            office.stop()
            outcome = office.run("who")
            self.assertEqual(outcome.code, 3, outcome.errors)
        finally:
            office.close()


if __name__ == "__main__":
    unittest.main()
