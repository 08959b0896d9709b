"""A pair whose clocks differ and whose pages are damaged. T1, T4, T7.

As test_mirror_net.py: machines with networks of their own, a writer on the client, the texts of docs/operations/mirror-scenarios.md.
"""
import glob
import signal
import time
import unittest

from net_pair import NetPair, damage_first_page, needs_networks
from other_time import forget_ended_clocks

DAY = 86_400  # seconds
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")  # not its program, which would stand between us and the node


@needs_networks
class Wrong(NetPair):
    @unittest.skipUnless(FAKETIME, "faketime is not installed")
    def test_clocks_differ(self):
        """Given production, its mirror and a client that writes, When the mirror's clock is a day ahead of production's, or a day behind it, Then the
        mirror follows, its ages are of its own counting and stay small, a switchover goes through, the client goes on at the new
        production, and nothing acknowledged is missing."""
        self.addCleanup(forget_ended_clocks)
        writer = self.writer("skewed")
        for shift in ("+1d", "-1d"):
            with self.subTest(shift=shift):
                mirror = self.mirror
                self.assertEqual(mirror.node.end(), 0)
                mirror.prefix = [*mirror.machine.prefix, "env", f"LD_PRELOAD={FAKETIME[0]}", f"FAKETIME={shift}", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
                self.assertEqual(self.start_again(mirror)["role"], "mirror")
                self.assertEqual(self.well(), (self.production, mirror))
                self.assertAlmostEqual(float(self.psql(mirror, "SELECT extract(epoch FROM clock_timestamp())")) - time.time(), DAY if shift == "+1d" else -DAY, delta=60)
                state = self.await_state(mirror, "the mirror to have heard production", lambda state: state["behind"] and state["behind"]["age_ms"] < 5000)
                self.assertLess(state["behind"]["span_ms"], 60_000)
                self.assertGreaterEqual(state["behind"]["age_ms"], 0)
                self.production.run("--json", "mirror", "switchover").check()
                old = self.production
                self.production, self.mirror = self.well()
                self.assertEqual((self.production, self.mirror), (mirror, old))
                writer.wait_more()
        self.await_all(self.mirror, "skewed", writer.end())

    def test_a_page_of_the_old_production_is_damaged(self):
        """Given a production that was killed and a mirror that was promoted, When a page of the old production does not agree with its checksum as it
        rejoins, Then it does not go on with that page but copies anew, keeps the old data beside the new, and pg_amcheck finds nothing on
        the new mirror."""
        self.psql(self.production, "CREATE TABLE victim AS SELECT n, md5(n::text) AS t FROM generate_series(1, 1000) AS n")
        path = self.psql(self.production, "SELECT pg_relation_filepath('victim')")
        self.psql(self.production, "CHECKPOINT", role="verbund", database="postgres")
        old, new, term = self.production, self.mirror, self.state(self.production)["pair"]["term"]
        self.await_position(new, self.psql(old, "SELECT pg_current_wal_flush_lsn()"))
        old.machine.signal_all(signal.SIGKILL)
        old.node.wait()
        self.misses_its_peer(new, "the mirror to miss production")
        self.promote(new)
        damage_first_page(old, path)
        self.assertEqual(self.start_again(old)["role"], "fenced")
        self.rejoin(old)
        self.production, self.mirror = self.well()
        self.assertEqual((self.production, self.mirror), (new, old))
        self.assertIn("checksum", (old.data / "log" / "verbund.log").read_text(encoding="utf-8"))
        self.assertTrue((old.data / "postgres" / f"data.{term}").is_dir())
        self.amcheck(new, "--install-missing")
        self.await_position(old, self.psql(new, "SELECT pg_current_wal_flush_lsn()"))
        self.amcheck(old)


if __name__ == "__main__":
    unittest.main()
