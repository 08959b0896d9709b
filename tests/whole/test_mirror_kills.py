"""A node is killed right after it has noted a step of a procedure, and started again: the procedure goes on or is rolled back. T3, T4; the simulation does it at every step, this with real machines.

The journal's steps are read from the node's log as they come: the kill falls within a few milliseconds of the step, before or after what it leads to.
"""
import threading
import time
import unittest

from office import BINARY, Program, wait_for
from test_mirror_roles import Pair, Writer

PATIENCE = 90


class Killer:
    """Kills the node of a machine when its log has a step that was not there before."""

    def __init__(self, side, why):
        self.node = side.node.process
        self.log = (side.data / "log" / "verbund.log").open("rb")
        self.log.seek(0, 2)
        self.wanted = f'"why":"{why}'.encode()
        self.done, self.ending = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        seen = b""
        while not self.ending.is_set():
            seen += self.log.read()
            if self.wanted in seen:
                self.node.kill()
                self.node.wait()
                self.done.set()
                return
            # As often as can be: it is the log that is waited for.
            time.sleep(0.0005)

    def await_kill(self, what):
        wait_for(self.done.is_set, f"a step of {what}", PATIENCE)

    def end(self):
        self.ending.set()
        self.thread.join(10)
        self.log.close()


class Killed(Pair):
    def setUp(self):
        super().setUp()
        self.production, self.other = self.office, self.mirror
        self.writer = Writer(self.office, self.mirror, "kept")
        self.addCleanup(self.writer.end)

    def begin_again(self, side):
        side.node = Program([BINARY, "--dir", str(side.data), "--json", "node", "--listen", f"127.0.0.1:{side.port}"])
        side.node.line(lambda line: '"started":true' in line or '"error"' in line)

    def settle(self):
        """One takes writes and the other follows it, whichever; somebody looks after a machine that is fenced."""
        def settled():
            states = {side: self.state(side) for side in (self.office, self.mirror)}
            for production, mirror in ((self.office, self.mirror), (self.mirror, self.office)):
                one, two = states[production], states[mirror]
                if not one.get("pair") or not two.get("pair") or one["role"] != "production" or not one["pair"]["open"]:
                    continue
                if two["role"] == "fenced":
                    mirror.run("--json", "mirror", "rejoin")
                if two["role"] == "mirror" and two["streaming"] and one["pair"]["term"] == two["pair"]["term"] and one["pair"]["peer"].get("following") and two["pair"]["peer_asks"]:
                    self.production, self.other = production, mirror
                    return True
            return False
        wait_for(settled, "one production and one mirror", PATIENCE)
        self.writer.wait_more()

    def killed(self, side, why, procedure):
        with self.subTest(why):
            self.writer.wait_more()
            killer = Killer(side, why)
            try:
                # What becomes of the two while it goes on is looked at by `settle`, besides.
                command = threading.Thread(target=procedure, args=(self.production, self.other))
                command.start()
                killer.await_kill(why)
            finally:
                killer.end()
            self.begin_again(side)
            self.settle()
            command.join(200)

    def switch_over(self, production, _):
        production.run("--json", "mirror", "switchover")

    def fence_and_promote(self, production, other):
        """A person who looks again when the report has changed since, or the node was away for a moment."""
        other.run("--json", "mirror", "fence").check()
        def promoted():
            state = self.state(other)
            if not state.get("pair"):
                return False
            if state["pair"]["stage"] == "following" and state["pair"]["loss"]["kind"] in ("none", "bounded"):
                other.run("--json", "mirror", "promote", "--accept-loss", state["pair"]["loss"]["token"])
            return state["pair"]["stage"] == "serving"
        wait_for(promoted, "the promotion", PATIENCE)

    def present(self):
        wait_for(lambda: self.ids(self.office, "kept") == self.ids(self.mirror, "kept"), "both to have the same", PATIENCE)
        return self.ids(self.office, "kept")


class Switchover(Killed):
    """Whoever is killed at whichever step of a switchover: one of the two is production in the end, and nothing that was acknowledged is missing."""

    def test_a_switchover_is_killed_at_each_step(self):
        self.killed(self.other, "offers to take over", self.switch_over)
        self.killed(self.production, "handed over", self.switch_over)
        self.killed(self.other, "takes over", self.switch_over)
        self.killed(self.other, "promoted", self.switch_over)
        self.killed(self.production, "the mirror has taken over: follows it", self.switch_over)
        acknowledged = self.writer.end()
        self.assertEqual(acknowledged - self.present(), set())


class Promotion(Killed):
    """Whoever is killed at whichever step of fencing, promotion and rejoin: one of the two is production in the end, and what is missing stands in the lists."""

    def test_fence_promotion_and_rejoin_are_killed_at_each_step(self):
        self.killed(self.production, "fenced: a higher term has begun", self.fence_and_promote)
        for step in ("promotion confirmed", "promoted"):
            self.killed(self.other, step, self.fence_and_promote)

        def fence_promote_and_rejoin(production, other):
            self.fence_and_promote(production, other)
            self.production_again(other)
            wait_for(lambda: self.state(production).get("role") in ("fenced", "rejoining", "mirror"), "the old production to know", PATIENCE)
            production.run("--json", "mirror", "rejoin")
        for step in ("rejoin asked for", "rejoined"):
            self.killed(self.production, step, fence_promote_and_rejoin)
        acknowledged = self.writer.end()
        self.assertEqual(acknowledged - self.present(), set(), "production was stopped before the mirror took over each time")


if __name__ == "__main__":
    unittest.main()
