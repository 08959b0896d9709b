"""A full disk under a running node: locks live on, errors say what is wrong, and the feed has no gap afterwards."""
import os
import subprocess
import time
import unittest

from office import Office, Workstation, wait_for

DISK_MIB = 420
FILLER_BYTES = 4 * 1024 * 1024


class SmallDisk:
    """The node's directory is a file system of its own."""

    def __init__(self, path):
        self.path = path
        path.mkdir(mode=0o755)
        self.mounted = False

    def mount(self):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0755", "verbund-small-disk", self.path],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest(f"a small file system can't be mounted here: {done.stderr.strip()}")
        self.mounted = True
        return self

    def unmount(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.path], check=True)
            self.mounted = False

    def fill(self):
        """To the last byte, as a log or backup gone wild would."""
        with open(self.path / "ballast", "ab", buffering=0) as ballast:
            size = FILLER_BYTES
            while size >= 1:
                try:
                    written = ballast.write(b"\0" * size)
                    if written < size:
                        size //= 2
                except OSError:
                    size //= 2

    def free(self):
        (self.path / "ballast").unlink()


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.office = Office()
        self.disk = SmallDisk(self.office.data)
        try:
            self.disk.mount()
            self.office.start()
        except BaseException:
            self.tearDown()
            raise

    def tearDown(self):
        try:
            self.office.close()
        finally:
            self.disk.unmount()

    def alive(self):
        self.assertIsNone(self.office.node.process.poll(), f"the node ended: {self.office.node.errors[-5:]}")

    def write(self, patient, name):
        """True: committed."""
        try:
            self.office.psql(f"UPDATE patient SET given_name = '{name}' WHERE id = '{patient}'")
            return True
        except AssertionError as error:
            self.refusals.append(str(error))
            return False

    def test_locks_live_on_and_the_feed_goes_on_without_a_gap(self):
        self.refusals = []
        patients = [self.office.a_patient(n) for n in range(30)]
        station = self.office.workstation("Empfang 1").keep_alive()
        other = self.office.workstation("Labor").keep_alive()
        key = f"patient/{patients[0]}"
        token = station.ask("lock", keys=[key])["token"]
        self.assertTrue(self.write(patients[1], "vorher"))
        station.event("changes")

        self.disk.fill()
        committed = self.write_until_refused(patients)
        self.alive()
        self.assertRegex(" ".join(self.refusals), "No space left|starting up|recovery|not running|closed the connection|shutting down|could not connect|connection to server")
        self.locks_live_on(station, other, key, patients)
        self.errors_are_clear(station)
        self.alive()

        self.disk.free()
        last = patients[29]
        wait_for(lambda: self.write(last, "nachher"), "the database takes writes again", patience=90)
        last_event = station.event("changes", lambda e: f"patient/{last}" in [c["key"] for c in e["changes"]], patience=90)
        changes = [e for e in station.events if e["event"] == "changes"]
        csns = [int(e["csn"]) for e in changes]
        self.assertEqual(csns, sorted(set(csns)))
        self.assertLessEqual({f"patient/{p}" for p in committed}, {c["key"] for e in changes for c in e["changes"]})
        self.assertNotIn("snapshot", [e["event"] for e in station.events])
        self.assertEqual(station.ask("lock", keys=[key])["token"], token, "the lock was never away")
        self.assertGreaterEqual(int(last_event["csn"]), csns[0])
        wait_for(lambda: self.registers(), "new workstations are taken again", patience=60)
        self.alive()

    def write_until_refused(self, patients):
        """What fits into files that exist already still goes; a wide update needs new ones."""
        committed = []
        for patient in patients[2:29]:
            if not self.write(patient, "währenddessen"):
                return committed
            committed.append(patient)
        for _ in range(20):
            try:
                self.office.psql("UPDATE patient SET given_name = repeat('x', 1000)")
            except AssertionError as error:
                self.refusals.append(str(error))
                return committed
        self.fail("the database never noticed the full disk")

    def locks_live_on(self, station, other, key, patients):
        refused = other.ask("lock", keys=[key])
        self.assertEqual(refused["error"]["code"], "held", refused)
        self.assertEqual(refused["error"]["holder"]["workstation"], "Empfang 1")
        free = f"patient/{patients[3]}"
        self.assertTrue(other.ask("lock", keys=[free])["ok"], "locks do not need the disk")
        self.assertTrue(other.ask("unlock", keys=[free])["ok"])
        self.assertTrue(station.ask("beat")["ok"])
        self.assertEqual(other.ask("tell", to="Empfang 1", text="Platte voll")["delivered"], 1)
        # Longer than a lease: sessions live by their beats.
        begun = time.monotonic()
        wait_for(lambda: time.monotonic() - begun > 4, "two leases have passed")
        self.assertEqual(other.ask("lock", keys=[key])["error"]["code"], "held")

    def errors_are_clear(self, station):
        reply = station.ask("changed", changes=[{"key": "letter/1", "op": "insert"}])
        if not reply["ok"]:
            self.assertIn(reply["error"]["code"], ("disk_full", "database", "database_down", "unavailable", "timed_out"), reply)
            self.assertTrue(reply["error"]["message"])
        late = Workstation(self.office.port)
        reply = late.ask("register", token=self.office.token, workstation="Zuspät")
        if not reply["ok"]:
            self.assertIn(reply["error"]["code"], ("unavailable", "disk_full", "database", "database_down"), reply)
        late.close()
        status = station.ask("status")
        self.assertTrue(status["ok"], status)

    def registers(self):
        late = Workstation(self.office.port)
        try:
            return late.ask("register", token=self.office.token, workstation="Danach")["ok"]
        finally:
            late.close()


if __name__ == "__main__":
    unittest.main()
