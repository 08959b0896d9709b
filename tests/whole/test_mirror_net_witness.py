"""A pair with a witness: production closes by itself, the mirror takes over by itself. T3, B4, B5.

Production, mirror, client and witness are machines with networks of their own; a writer on the client logs every id that was acknowledged. Each
scenario's text is that of docs/operations/mirror-scenarios.md (test_scenarios.py compares them).
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from net_pair import NetPair, needs_networks
from office import BINARY, Program, wait_for

LONG = 240  # seconds: a lease and its margin, a promotion, all on a slow machine


class Witness:
    """The third machine."""

    def __init__(self, machine):
        self.machine = machine
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="verbund-witness-"))
        self.program, self.port = None, 0

    def start(self):
        self.program = Program([*self.machine.prefix, BINARY, "--dir", str(self.directory), "--json", "witness", "run", "--listen", f"0.0.0.0:{self.port}"])
        self.port = json.loads(self.program.line(lambda line: '"started":true' in line or '"error"' in line))["port"]
        return self

    def code(self):
        done = subprocess.run([BINARY, "--dir", str(self.directory), "--json", "witness", "invite"], capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout)["code"]

    def kill(self):
        self.program.process.kill()
        self.program.wait()

    def close(self):
        if self.program and self.program.process.poll() is None:
            self.program.end()
        shutil.rmtree(self.directory, ignore_errors=True)


class WithWitness(NetPair):
    machines = ("produktion", "spiegel", "client", "zeuge")
    settings = ('self_fence = "10s"', "automatic = true", 'max_loss = "5min"', 'cool_down = "0"')

    def take_witness(self):
        """It is known on both machines, and production has named the mirror."""
        witness = Witness(self.net["zeuge"])
        self.addCleanup(witness.close)
        witness.start()
        done = self.production.run("--json", "mirror", "witness", "join", "--at", f"{witness.machine.address}:{witness.port}", "--code", witness.code())
        self.assertEqual(done.code, 0, done.output + done.errors)
        self.bound()
        return witness

    def bound(self):
        self.await_state(self.production, "production to be bound by the witness", lambda state: state["pair"]["witness"] and state["pair"]["witness"]["alive"]
                         and state["pair"]["witness"]["candidate"] == state["pair"]["peer"]["member"] and int(state["pair"]["witness"]["lease_left_ms"]) > 0)
        self.await_state(self.mirror, "the mirror to know the witness", lambda state: state["pair"]["witness"] and state["pair"]["witness"]["alive"])

    def leave_witness(self):
        self.production.run("--json", "mirror", "witness", "leave").check()
        self.await_state(self.production, "production to be free", lambda state: state["pair"]["witness"] is None)

    def took_over(self, side):
        state = self.await_state(side, "the mirror to take over by itself", lambda state: state["role"] == "production" and state["pair"]["open"], LONG)
        self.assertTrue(state["pair"]["given"])
        self.assertEqual(state["pair"]["report"]["kind"], "within")
        return state["pair"]["report"]

    def is_told(self, side, key):
        """An alarm of that key is held."""
        folder = side.data / "alarm"
        wait_for(lambda: any(f"mirror/{key}" in path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()), f"the alarm {key}", 150, 1)


@needs_networks
class TakesOver(WithWitness):
    def test_production_dies_and_the_mirror_takes_over(self):
        """Given production, its mirror, a witness, automatic takeover and a client that writes, When the program that is production's node is killed and its
        PostgreSQL lives on, Then PostgreSQL is ended when the lease is over, the mirror takes over by itself after that, tells so, the client goes on
        there, each acknowledged write that is missing lies beyond the position of the report, and the old production is fenced when it comes back and
        rejoins on command."""
        self.take_witness()
        writer = self.writer("given")
        postmaster = int((self.production.data / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        self.production.node.process.kill()
        self.production.node.wait()
        writer.wait_more()
        report = self.took_over(self.mirror)
        self.assertFalse(os.path.exists(f"/proc/{postmaster}/exe"), "the old PostgreSQL lives")
        self.is_told(self.mirror, "took_over")
        self.assertIn("mirror.automatic", self.mirror.run("--json", "audit").check().output)
        writer.wait_more()
        acknowledged = writer.end()
        missing = set(acknowledged) - self.ids(self.mirror, "given")
        self.within_the_report(report, acknowledged, missing)
        self.assertEqual(self.start_again(self.production)["role"], "fenced")
        self.rejoin(self.production)
        self.production, self.mirror = self.well()
        self.bound()
        self.leave_witness()

    def test_production_is_cut_off_and_closes_before_the_mirror_takes_over(self):
        """Given production, its mirror, a witness, automatic takeover and a client that writes to production alone, When nothing gets through between
        production and the two other machines, Then production takes no writes any more before the mirror takes over, the client's acknowledged writes are on
        the mirror or lie beyond the position of the report, and when the cut has ended production is fenced by itself and rejoins on command."""
        self.take_witness()
        writer = self.writer("alone", self.production)
        there = [self.mirror.machine, self.net["zeuge"]]
        self.addCleanup(lambda: [machine.reach_all() for machine in [self.one.machine, self.two.machine, self.net["zeuge"]]])
        for machine in there:
            self.production.machine.lose_to(machine)
            machine.lose_to(self.production.machine)
        self.await_state(self.production, "production to close", lambda state: state["role"] != "production", LONG)
        self.assertIsNone(self.ask(self.production, "INSERT INTO alone VALUES (-1)"), "it takes writes")
        report = self.took_over(self.mirror)
        self.assertIsNone(self.ask(self.production, "INSERT INTO alone VALUES (-2)"), "it takes writes")
        acknowledged = writer.end()
        missing = set(acknowledged) - self.ids(self.mirror, "alone")
        self.within_the_report(report, acknowledged, missing)
        for machine in [self.production.machine, *there]:
            machine.reach_all()
        self.await_state(self.production, "the old production to be fenced", lambda state: state["role"] == "fenced" and not state["pair"]["running"], LONG)
        self.rejoin(self.production)
        self.production, self.mirror = self.well()
        self.bound()
        self.leave_witness()


@needs_networks
class StaysAsItIs(WithWitness):
    def test_the_witness_is_gone(self):
        """Given production, its mirror, a witness, automatic takeover and a client that writes, When the witness is killed, Then the client goes on writing,
        who is production stays as it is, both machines say that the witness does not answer, an alarm tells it, a production that is started again meanwhile
        works, and a witness that is started again is heard again by itself."""
        witness = self.take_witness()
        writer = self.writer("gone")
        term = self.state(self.production)["pair"]["term"]
        witness.kill()
        for side in (self.production, self.mirror):
            # Longer than the lease.
            self.await_state(side, "the witness to be missed", lambda state: not state["pair"]["witness"]["alive"] and int(state["pair"]["witness"]["silent_ms"]) > 20_000)
        self.is_told(self.production, "witness")
        writer.wait_more()
        state = self.state(self.production)
        self.assertEqual((state["role"], state["pair"]["term"]), ("production", term))
        self.production.node.process.kill()
        self.production.node.wait()
        self.assertEqual(self.start_again(self.production)["role"], "production")
        self.well()
        writer.wait_more()
        witness.start()
        self.bound()
        writer.end()
        self.leave_witness()

    def test_without_a_witness_nobody_takes_over(self):
        """Given production, its mirror, settings that allow an automatic takeover, and no witness, When production dies, Then the mirror stays a mirror for
        longer than any lease, says that there is no witness, and production goes on when it is started again."""
        self.assertIsNone(self.state(self.mirror)["pair"]["witness"])
        self.production.machine.signal_all(signal.SIGKILL)
        self.production.node.wait()
        state = self.await_state(self.mirror, "production to be missed for long", lambda state: state["behind"] and int(state["behind"]["age_ms"]) > 30_000)
        self.assertEqual(state["role"], "mirror")
        self.assertEqual(self.start_again(self.production)["role"], "production")
        self.well()


if __name__ == "__main__":
    unittest.main()
