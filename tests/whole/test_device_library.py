"""The device library as an application uses it: installed into a prefix, the examples built with plain gcc and g++ and pkg-config alone (D3, D8, D10)."""
import contextlib
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import unittest

from office import BINARY, Office, ROOT, wait_for

BUILD = pathlib.Path(BINARY).resolve().parent
RULES = """[[subscription]]
name = "notes"
table = "note"
rights = ["read", "insert", "update", "delete"]

[[set]]
name = "all"
subscriptions = ["notes"]

[[group]]
name = "everybody"
sets = ["all"]

[[user]]
name = "anna"
group = "everybody"
"""


class DeviceLibrary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not (BUILD / "installed" / "libverbund_device.a").exists():
            raise unittest.SkipTest("the build has not made installed/libverbund_device.a (ninja verbund_device_archive)")
        with contextlib.ExitStack() as undo:
            cls.office = Office(demo=None).start()
            undo.callback(cls.office.close)
            cls.install(cls.office.directory / "prefix")
            cls.office.psql("CREATE TABLE note (id integer PRIMARY KEY, text text NOT NULL); INSERT INTO note VALUES (1, 'aus der Praxis')")
            rules = cls.office.directory / "rules.toml"
            rules.write_text(RULES, encoding="utf-8")
            cls.office.run("sync", "apply", str(rules)).check()
            cls.addClassCleanup(undo.pop_all().close)

    @classmethod
    def install(cls, prefix):
        subprocess.run(["cmake", "--install", BUILD, "--component", "device", "--prefix", prefix], check=True, capture_output=True)
        cls.installed = sorted(path.name for path in prefix.rglob("*") if path.is_file())
        config = next(prefix.rglob("verbund-device.pc"))
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "verbund-device"], check=True, capture_output=True, text=True,
                               env={**os.environ, "PKG_CONFIG_PATH": str(config.parent)}).stdout.split()
        for source, compiler in (("examples/device_notes.c", ["gcc", "-std=c99", "-pedantic"]), ("examples/device_background.cc", ["g++", "-std=c++20"]),
                                 ("tests/whole/device_calls.c", ["gcc", "-std=gnu99", "-pthread"])):
            copy = pathlib.Path(shutil.copy(ROOT / source, prefix))
            built = subprocess.run([*compiler, "-Wall", "-Wextra", "-Werror", copy, *flags, "-o", prefix / copy.stem], capture_output=True, text=True, timeout=300)
            assert built.returncode == 0, built.stderr[-4000:]
        cls.programs = prefix

    def setUp(self):
        self.file = self.office.directory / f"{self.id().rpartition('.')[2]}.db"
        code = self.office.run("sync", "device", "invite", "--user", "anna").check().output.split()[0]
        self.enrolled = self.notes(str(self.file), f"127.0.0.1:{self.office.port}", code)
        self.assertEqual(self.enrolled.returncode, 0, self.enrolled.stderr)
        self.app = sqlite3.connect(self.file, isolation_level=None, timeout=30)
        self.addCleanup(self.app.close)

    def notes(self, *words):
        return subprocess.run([self.programs / "device_notes", *words], capture_output=True, text=True, timeout=120)

    def background(self, *words):
        return self.started("device_background", str(self.file), *words)

    def started(self, program, *words):
        running = subprocess.Popen([self.programs / program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def end():
            if running.poll() is None:
                running.kill()
            running.wait()
            for pipe in (running.stdin, running.stdout, running.stderr):
                pipe.close()
        self.addCleanup(end)
        return running

    def asked(self, running, call, answer):
        """Says `call` to device_calls and gives the lines up to the one that begins with `answer`."""
        running.stdin.write(call + "\n")
        running.stdin.flush()
        lines = []
        while line := running.stdout.readline():
            lines.append(line.rstrip())
            if line.startswith(answer):
                return lines
        self.fail(f"it ended at {call}: {lines} {running.stderr.read()}")

    @contextlib.contextmanager
    def node_stands_still(self):
        self.office.node.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.office.node.send_signal(signal.SIGCONT)

    def sync_hangs(self):
        wait_for(lambda: self.app.execute("SELECT request <> '' FROM verbund_device").fetchone() == (1,), "a sync that is under way")

    def heard(self, running, word):
        while line := running.stdout.readline():
            if word in line:
                return line
        self.fail(f"it ended without {word}: {running.stderr.read()}")

    def office_notes(self):
        return self.office.psql("SELECT string_agg(text, ',' ORDER BY id) FROM note")

    def test_only_what_is_needed_is_installed(self):
        self.assertEqual(self.installed, ["client.h", "device.h", "libverbund_device.a", "verbund-device.pc"])

    def test_a_c_program_writes_a_note_and_syncs(self):
        self.assertIn("notes: 1 rows" if self.office_notes().count(",") == 0 else "rows", self.enrolled.stdout)
        written = self.notes(str(self.file), "Grüße vom Tablet")
        self.assertEqual(written.returncode, 0, written.stderr)
        self.assertIn("sent 1, applied 1, rejected 0", written.stdout)
        self.assertIn("Grüße vom Tablet", self.office_notes())

    def test_it_says_what_was_rejected_and_what_failed(self):
        self.app.execute("UPDATE note SET text = 'von hier' WHERE id = 1")
        self.office.psql("UPDATE note SET text = 'von dort' WHERE id = 1")
        done = self.notes(str(self.file), "noch eine Notiz")
        self.assertIn("rejected: note", done.stdout)
        self.assertIn("version", done.stdout)
        nowhere = self.notes(str(self.office.directory / "missing.db"), "x")
        self.assertNotEqual(nowhere.returncode, 0)
        self.assertIn("not_found", nowhere.stderr)
        wrong = self.notes(str(self.office.directory / "other.db"), f"127.0.0.1:{self.office.port}", "no-code")
        self.assertIn("usage", wrong.stderr)

    def test_in_the_background_both_directions_go_by_themselves_also_over_a_restart_of_the_node(self):
        running = self.background("100")
        self.heard(running, "synced")
        self.office.psql("INSERT INTO note VALUES (100, 'während es läuft')")
        wait_for(lambda: self.app.execute("SELECT count(*) FROM note WHERE id = 100").fetchone() == (1,), "the office's note on the device")
        self.app.execute("INSERT INTO note VALUES (200, 'auf dem Gerät')")
        wait_for(lambda: "auf dem Gerät" in self.office_notes(), "the device's note at the office")
        self.office.stop()
        self.heard(running, "not_reachable")
        self.app.execute("INSERT INTO note VALUES (201, 'ohne Netz')")
        self.office.start()
        wait_for(lambda: "ohne Netz" in self.office_notes(), "the note of the time without a node")
        running.stdin.close()
        self.assertIn("last: succeeded", self.heard(running, "last:"))
        self.assertEqual(running.wait(30), 0)

    def test_it_wakes_when_told_and_ends_at_once_while_it_waits(self):
        running = self.background("3600000")
        self.heard(running, "synced")
        self.app.execute("INSERT INTO note VALUES (300, 'geweckt')")
        running.stdin.write("\n")
        running.stdin.flush()
        self.assertIn("1 sent", self.heard(running, "synced"))
        running.stdin.close()
        self.assertEqual(running.wait(30), 0)

    def test_a_sync_that_hangs_is_cancelled_and_goes_on_later(self):
        """The node stands still in the middle: whoever closes the device does not wait for it."""
        running = self.background("50")
        self.heard(running, "synced")
        self.app.execute("INSERT INTO note VALUES (400, 'hängt')")
        with self.node_stands_still():
            running.stdin.write("\n")
            running.stdin.close()
            self.assertEqual(running.wait(20), 0)
        done = wait_for(lambda: (synced := self.notes(str(self.file), "danach")).returncode == 0 and synced, "the next sync")
        self.assertIn("applied", done.stdout)
        self.assertIn("hängt", self.office_notes())

    def test_each_call_of_c(self):
        """What was rejected is told with the number by which it is dismissed or taken again, and with the words that device.h promises."""
        calls = self.started("device_calls", str(self.file))
        for number, text in ((500, "bleibt"), (501, "wird noch einmal versucht"), (502, "wird gelöscht")):
            self.office.psql(f"INSERT INTO note VALUES ({number}, '{text}')")
        self.asked(calls, "sync", "sync succeeded")
        self.app.executescript("UPDATE note SET text = 'hier ' || text WHERE id IN (500, 501); DELETE FROM note WHERE id = 502")
        self.office.psql("UPDATE note SET text = 'dort ' || text WHERE id IN (500, 501, 502)")
        self.assertIn("pending 3, undecided 0, rejects 0", " ".join(self.asked(calls, "status", "anna")))
        told = self.asked(calls, "sync", "sync succeeded")
        self.assertEqual([line.split(" ", 2)[2] for line in told[:-1]], ["note delete [502] version open", "note update [500] version open", "note update [501] version open"])
        numbers = {line.split()[4]: line.split()[1] for line in told[:-1]}
        self.assertEqual([line.replace("reject ", "heard ", 1) for line in self.asked(calls, "rejects 0", "rejects ok")[:-1]], told[:-1])
        self.asked(calls, f"dismiss {numbers['[500]']}", "dismiss ok")
        self.assertIn("not_found", self.asked(calls, f"dismiss {numbers['[500]']}", "dismiss")[-1])
        self.asked(calls, f"take {numbers['[501]']}", "take ok")
        self.asked(calls, f"take {numbers['[502]']}", "take ok")
        self.assertIn("not_found", self.asked(calls, "take 4711", "take")[-1])
        self.asked(calls, "sync", "sync succeeded, sent 2, rejected 0")
        self.assertEqual(self.office.psql("SELECT string_agg(text, ',') FROM note WHERE id BETWEEN 500 AND 502"), "dort bleibt,hier wird noch einmal versucht")
        self.assertIn("rejects 0", " ".join(self.asked(calls, "status", "anna")))
        states = [line.split(" ", 6)[6] for line in self.asked(calls, "rejects 1", "rejects ok")[:-1]]
        self.assertEqual(sorted(states), ["dismissed", "taken again", "taken again"])
        self.assertEqual([line.split(": ")[0] for line in self.asked(calls, "null", "enrol without")], ["open usage", "enrol usage", "enrol without error ok"])

    def test_a_hanging_sync_is_cancelled_by_another_thread(self):
        calls = self.started("device_calls", str(self.file))
        self.asked(calls, "sync", "sync succeeded")
        self.asked(calls, "cancel", "cancel ok")  # none runs: the next one is not meant
        self.app.execute("INSERT INTO note VALUES (600, 'abgebrochen')")
        with self.node_stands_still():
            calls.stdin.write("thread\n")
            calls.stdin.flush()
            self.sync_hangs()
            self.assertTrue(any("thread canceled" in line and "cancelled" in line for line in self.asked(calls, "cancel\njoin", "join")))
        self.asked(calls, "sync", "sync succeeded, sent 1")
        self.assertIn("abgebrochen", self.office_notes())

    def test_the_background_ends_while_a_sync_of_the_application_hangs(self):
        """Its stop was lost when it came between looking at it and the sync: that waited for its turn, and then for the node."""
        calls = self.started("device_calls", str(self.file))
        self.asked(calls, "sync", "sync succeeded")
        with self.node_stands_still():
            calls.stdin.write("thread\n")
            calls.stdin.flush()
            self.sync_hangs()
            self.asked(calls, "background 50", "started ok")
            self.assertIn("in_use", self.asked(calls, "background 50", "started")[-1])
            stopped = self.asked(calls, "stop", "stopped ok")
            self.assertEqual([line for line in stopped if line.startswith("thread")], [])
        self.assertIn("thread succeeded", " ".join(self.asked(calls, "join", "join ok")))

    def test_a_file_that_somebody_has_written_into_is_an_error(self):
        self.app.execute("UPDATE verbund_subscription SET layout = '{'")
        calls = self.started("device_calls", str(self.file))
        self.assertIn("damaged: the device's database: the layout of notes can't be read", self.asked(calls, "status", "status")[-1])
        self.assertIn("damaged", self.asked(calls, "sync", "sync failed")[-1])
        calls.stdin.close()
        self.assertEqual(calls.wait(30), 0)


if __name__ == "__main__":
    unittest.main()
