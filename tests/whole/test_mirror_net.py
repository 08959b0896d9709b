"""A pair in a network that fails: the link is cut, loses one way, machines freeze and thaw. B4, B5, T3, T4, T7.

Production, mirror and client are machines with networks of their own; a writer on the client logs every id that was acknowledged. Each
scenario's text is that of docs/operations/mirror-scenarios.md (test_scenarios.py compares them).
"""
import signal
import time
import unittest

from net_pair import NetPair, needs_networks


@needs_networks
class Network(NetPair):
    def test_the_link_is_cut_and_production_dies(self):
        """Given production, its mirror and a client that writes, When nothing gets through between the two machines any more, the client goes
        on writing and then production dies, Then the loss report names a position up to which the mirror has everything, the mirror is
        production once the report is accepted, each acknowledged write that is missing lies beyond that position, the old production is
        fenced when it comes back and lists at least as many commits as are missing, and pg_amcheck finds nothing on either machine."""
        writer = self.writer("cut")
        self.part()
        self.misses_its_peer(self.mirror, "the mirror to miss production")
        writer.wait_more()
        self.production.machine.signal_all(signal.SIGKILL)
        self.production.node.wait()
        report = self.promote(self.mirror)
        self.assertEqual(report["kind"], "unknown")
        writer.wait_more()
        acknowledged = writer.end()
        missing = set(acknowledged) - self.ids(self.mirror, "cut")
        self.assertGreaterEqual(len(missing), 20, "what was written after the cut can't be on the mirror")
        self.within_the_report(report, acknowledged, missing)
        self.production.machine.reach_all()
        self.mirror.machine.reach_all()
        self.assertEqual(self.start_again(self.production)["role"], "fenced")
        lost = self.rejoin(self.production)
        self.assertGreaterEqual(int(lost["commits"]), len(missing))
        old, (new, mirror) = self.production, self.well()
        self.assertIs(mirror, old)
        self.await_all(mirror, "cut", set(acknowledged) - missing)
        self.amcheck(new, "--install-missing")
        self.await_position(mirror, self.psql(new, "SELECT pg_current_wal_flush_lsn()"))
        self.amcheck(mirror)

    def test_the_link_is_cut_while_commits_wait(self):
        """Given commits that wait for the mirror and a client that writes, When nothing gets through between the two machines any more and production
        dies after commits have gone on without the mirror, Then the client was not held up for longer than 20 s, the mirror says until when
        nothing of what was waited for is lost, and each acknowledged write that is missing was acknowledged after that."""
        self.production.run("mirror", "follow", "--synchronous", "on").check()
        self.await_state(self.production, "commits to wait", lambda state: state["follow"]["commits"]["state"] == "synchronous")
        writer = self.writer("waited")
        self.await_state(self.mirror, "the mirror to hear the promise", lambda state: state["loss"]["waited_ms"] == 0)
        self.part()
        self.await_state(self.production, "commits to go on without the mirror", lambda state: state["follow"]["commits"]["state"] == "asynchronous")
        writer.wait_more()
        self.misses_its_peer(self.mirror, "the mirror to miss production")
        self.production.machine.signal_all(signal.SIGKILL)
        self.production.node.wait()
        asked = time.monotonic()
        promised = asked - self.state(self.mirror)["loss"]["waited_ms"] / 1000
        report = self.promote(self.mirror)
        acknowledged = writer.end()
        missing = set(acknowledged) - self.ids(self.mirror, "waited")
        self.assertGreaterEqual(len(missing), 20)
        self.within_the_report(report, acknowledged, missing)
        self.assertGreaterEqual(min(acknowledged[number][1] for number in missing), promised)
        self.assertLess(asked - promised, 120, "that it has something to say")
        times = sorted(at for _, at in acknowledged.values())
        self.assertLess(max(later - before for before, later in zip(times, times[1:])), 20)
        self.one.machine.reach_all()
        self.two.machine.reach_all()
        self.assertEqual(self.start_again(self.production)["role"], "fenced")
        self.rejoin(self.production)
        new, _ = self.well()
        new.run("mirror", "follow", "--synchronous", "off").check()

    def test_one_way_loss(self):
        """Given production, its mirror and a client that writes, When all that one of the two machines sends to the other is lost while the other
        direction works, Then the client goes on writing, both machines say that the other is not heard and the mirror does not claim to
        stream, whichever direction it is, and when the network is well again the mirror has everything by itself."""
        writer = self.writer("one_way")
        for sender, receiver in ((self.production, self.mirror), (self.mirror, self.production)):
            with self.subTest(sender=self.state(sender)["role"]):
                sender.machine.lose_to(receiver.machine)
                self.addCleanup(sender.machine.reach_all)
                self.misses_its_peer(self.production, "production to miss the mirror")
                self.await_state(self.mirror, "the mirror to say that it does not hear production",
                                 lambda state: state["production"]["error"] and not state["pair"]["peer"]["alive"] and not state["streaming"] and state["behind"]["age_ms"] > 5000)
                writer.wait_more()
                sender.machine.reach_all()
                self.assertEqual(self.well(), (self.production, self.mirror))
        self.await_all(self.mirror, "one_way", writer.end())

    def test_production_freezes_and_thaws(self):
        """Given production, its mirror, a client that knows both and one that knows production alone, When production freezes, the administrator
        types that it is off and promotes the mirror, and production thaws, Then the client that knows both goes on at the new production,
        the old one closes by itself and acknowledges nothing from then on, whatever it had acknowledged before that is listed as lost
        when it rejoins, and what is missing lies beyond the report's position."""
        name = self.state(self.mirror)["pair"]["peer"]["name"]
        writer, stubborn = self.writer("frozen"), self.writer("frozen_old", self.production)
        self.production.machine.signal_all(signal.SIGSTOP)
        self.addCleanup(self.production.machine.signal_all, signal.SIGCONT)
        self.misses_its_peer(self.mirror, "the mirror to miss production")
        report = self.promote(self.mirror, "--switched-off", name)
        promoted = time.monotonic()
        writer.reconnect()
        writer.wait_more()
        self.production.machine.signal_all(signal.SIGCONT)
        self.await_state(self.production, "the old production to close", lambda state: state["role"] == "fenced" and not state["pair"]["running"])
        closed = time.monotonic()
        writer.wait_more()
        acknowledged, by_the_old = writer.end(), stubborn.end()
        self.assertLess(max(at for _, at in by_the_old.values()), closed)
        print(f"acknowledged by the thawed production until it closed: {sum(at > promoted for _, at in by_the_old.values())}")
        for table, kept in (("frozen", acknowledged), ("frozen_old", by_the_old)):
            missing = set(kept) - self.ids(self.mirror, table)
            self.within_the_report(report, kept, missing)
        lost = self.rejoin(self.production)
        self.assertGreaterEqual(int(lost["commits"]), len(missing))
        old, (_, mirror) = self.production, self.well()
        self.assertIs(mirror, old)
