"""Ends that others decide: the node is stopped, an account is removed or disabled, a token is taken back. S2, S7."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from office import ROOT, Office, Workstation, wait_for

JITTER_MS = 700


class StoppedNode(unittest.TestCase):
    def setUp(self):
        self.office = Office(properties={"reconnect.jitter.ms": JITTER_MS}).start()

    def tearDown(self):
        self.office.close()

    def test_sigterm_tells_everybody_with_the_jitter_and_ends_within_a_bound(self):
        stations = [self.office.workstation(f"Platz {number}").keep_alive() for number in range(12)]
        key = f"patient/{self.office.a_patient()}"
        self.assertTrue(stations[0].ask("lock", keys=[key])["ok"])
        stranger = Workstation(self.office.port)  # connected, not registered
        # Reads nothing after its welcome and does not close its side: nobody waits for it.
        deaf = socket.create_connection(("127.0.0.1", self.office.port))
        self.addCleanup(deaf.close)
        deaf.sendall(json.dumps({"op": "register", "token": self.office.token, "workstation": "Taub"}).encode() + b"\n")
        self.assertIn(b"welcome", deaf.recv(4096))
        begun = time.monotonic()
        self.office.node.send_signal(signal.SIGTERM)
        for station in stations:
            closing = station.event("closing")
            self.assertEqual((closing["reason"], closing["jitter_ms"]), ("shutdown", JITTER_MS))
            station.wait_closed()
            self.assertEqual(station.events[-1]["event"], "closing", "the last message")
        stranger.wait_closed()
        self.assertEqual(stranger.events, [])
        self.assertEqual(self.office.node.wait(30), 0, self.office.node.errors[-5:])
        self.assertLess(time.monotonic() - begun, 30)
        self.assertIsNone(self.office.postmaster())

        # They were told to come back, and are known: with session, lock and all.
        self.office.start()
        for station in stations:
            back = Workstation(self.office.port)
            reply = back.ask("resume", session=station.welcome["session"], secret=station.welcome["secret"])
            self.assertTrue(reply["ok"] and reply["welcome"]["resumed"], reply)
            back.close()


def lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class InterruptedBuild(unittest.TestCase):
    """./run is ended while it still builds: nothing of the build lives on."""

    def setUp(self):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="verbund-run-"))
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)
        shutil.copy(ROOT / "run", self.place / "run")
        (self.place / "build" / "release").mkdir(parents=True)
        # A build that takes for ever, by the real ninja; it says who its compiler is.
        (self.place / "build" / "release" / "build.ninja").write_text(
            "rule compile\n  command = echo $$$$ > compiler.pid && exec sleep 600\nbuild binary: compile\n")
        for name, text in (("tools/install-deps", "exit 0"), ("bin/cmake", "exec ninja -C build/release")):
            path = self.place / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)

    def ends_with(self, number):
        environment = {**os.environ, "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}"}
        run = subprocess.Popen([self.place / "run"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(run.stdout.close)
        self.addCleanup(run.kill)
        told = self.place / "build" / "release" / "compiler.pid"
        compiler = int(wait_for(lambda: told.exists() and told.read_text().strip(), "the build runs"))
        run.send_signal(number)  # to the script alone, as kill and service managers do
        self.assertEqual(run.wait(30), -number)
        wait_for(lambda: not lives(compiler), "the compiler has ended")

    def test_sigterm_ends_the_build(self):
        self.ends_with(signal.SIGTERM)

    def test_sigint_ends_the_build(self):
        self.ends_with(signal.SIGINT)

    def test_a_build_that_fails_ends_the_script_with_its_code(self):
        (self.place / "bin" / "cmake").write_text("#!/bin/sh\nexit 7\n")
        done = subprocess.run([self.place / "run"], env={**os.environ, "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}"},
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 7, done.stderr)


class EndedAccounts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Windows far longer than the test: what ends, ends by the administrator's word and not by the clock.
        cls.office = Office(properties={"lease.ms": 60_000, "reconnect.ms": 70_000, "suspect.ms": 20_000}).start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def add(self, user):
        self.office.passwords[user] = "ein langes Kennwort"
        self.office.run("user", "add", user, "--role", "staff", stdin="ein langes Kennwort\n").check()

    def ends_at_once(self, user, *command):
        """Given a workstation of `user` that holds a lock, when `command` is given, then it is out, the lock goes on, all hear."""
        key = f"patient/{self.office.a_patient()}"
        station = self.office.workstation(f"Platz von {user}", user=user)
        observer = self.office.workstation("Empfang 1")
        self.assertTrue(station.ask("lock", keys=[key])["ok"])
        waiting = observer.send("lock", keys=[key], wait_ms=60_000)
        wait_for(lambda: observer.ask("locks", prefix=key)["locks"][0]["waiting"] == 1, "one waits")
        self.office.run(*command).check()
        self.assertEqual(station.event("closing")["reason"], "removed")
        station.wait_closed()
        self.assertTrue(observer.reply(waiting)["ok"])
        observer.event("lock.released", lambda e: key in e["keys"])
        left = observer.event("session.left", lambda e: e["session"] == station.welcome["session"])
        self.assertEqual((left["user"], left["reason"]), (user, "removed"))
        back = Workstation(self.office.port)
        refused = back.ask("resume", session=station.welcome["session"], secret=station.welcome["secret"])
        self.assertEqual(refused["error"]["code"], "unknown_session")
        self.assertEqual(self.registers(user), "unauthenticated")
        observer.ask("goodbye")
        back.close()

    def registers(self, user):
        """The code of the refusal, or None."""
        station = Workstation(self.office.port)
        reply = station.ask("register", user=user, password=self.office.passwords[user], workstation="Versuch")
        station.close()
        return None if reply["ok"] else reply["error"]["code"]

    def registers_with(self, token):
        station = Workstation(self.office.port, record=False)
        reply = station.ask("register", token=token, workstation="Programm")
        station.close()
        return None if reply["ok"] else reply["error"]["code"]

    def test_a_removed_account_is_out_at_once(self):
        self.add("rosa")
        self.ends_at_once("rosa", "user", "remove", "rosa")

    def test_a_disabled_account_is_out_at_once_and_comes_back_when_it_is_enabled(self):
        self.add("dora")
        token = self.office.run("user", "token", "dora", "--label", "Gerät").check().output.strip()
        self.assertIsNone(self.registers_with(token))
        self.ends_at_once("dora", "user", "disable", "dora")
        self.assertEqual(self.registers_with(token), "unauthenticated")
        self.assertRegex(self.office.run("user", "list").check().output, r"dora +staff +disabled")
        self.assertRegex(self.office.run("user", "list", LC_ALL="de_DE.UTF-8").check().output, r"dora +\S+ +abgeschaltet")
        self.office.run("user", "enable", "dora").check()
        self.assertIsNone(self.registers("dora"))
        self.assertIsNone(self.registers_with(token))
        self.assert_audited(("user.disable", "dora"), ("user.enable", "dora"))

    def test_the_last_administrator_is_not_disabled(self):
        refused = self.office.run("user", "disable", "admin")
        self.assertEqual(refused.code, 4)
        self.assertIn("last administrator", refused.errors)
        self.assertEqual(self.office.run("user", "disable", "niemand").code, 4)

    def test_a_token_that_is_taken_back_counts_no_more(self):
        self.add("tina")
        lost = self.office.run("user", "token", "tina", "--label", "verlorenes Gerät").check().output.strip()
        kept = self.office.run("user", "token", "tina", "--label", "anderes").check().output.strip()
        said = self.office.run("user", "token", "revoke", "tina", "--label", "verlorenes Gerät", LC_ALL="de_DE.UTF-8").check()
        self.assertIn("verlorenes Gerät", said.output)
        self.assertIn("zurückgenommen", said.output)
        self.assertEqual(self.registers_with(lost), "unauthenticated")
        self.assertIsNone(self.registers_with(kept))
        again = self.office.run("user", "token", "revoke", "tina", "--label", "verlorenes Gerät")
        self.assertNotEqual(again.code, 0)
        self.assertEqual(self.office.run("user", "token").code, 2)
        self.assert_audited(("user.token", "tina"), ("user.token.revoke", "tina"))
        for token in (lost, kept):
            self.assertNotIn(token, (self.office.data / "log" / "verbund.log").read_text(encoding="utf-8"))

    def assert_audited(self, *expected):
        entries = self.office.run("--json", "audit").check().json()["entries"]
        actions = [(entry["action"], entry["object"]) for entry in entries]
        for action in expected:
            self.assertIn(action, actions)


if __name__ == "__main__":
    unittest.main()
