"""A backup at a terminal of 80 columns: one line that is redrawn, with bar, rate and time left, in both languages."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
import unittest

from office import BINARY, PATIENCE
from practice import Practice
from somebody_elses_server import BINARIES

COLUMNS = 80
# pg_dump's own words, as slowly as a large database would give them: rate and time left are shown after two seconds.
SLOW = """#!/usr/bin/env python3
import subprocess, sys, threading
real = {real!r}
if "--version" in sys.argv:
    sys.exit(subprocess.call([real, *sys.argv[1:]]))
child = subprocess.Popen([real, *sys.argv[1:]], stdout=subprocess.PIPE)
words = child.stdout.read()
pace = threading.Event()
piece = max(1, len(words) // 20)
for at in range(0, len(words), piece):
    sys.stdout.buffer.write(words[at:at + piece])
    sys.stdout.buffer.flush()
    pace.wait(0.08)
sys.exit(child.wait())
"""


class Terminal:
    """What a program writes to a terminal of 80 columns, and what stands on its lines afterwards."""

    def __init__(self, argv, **environment):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, **environment}, start_new_session=True)
        os.close(slave)
        data = b""
        end = time.monotonic() + 3 * PATIENCE
        while time.monotonic() < end:
            if not select.select([master], [], [], 0.2)[0]:
                continue
            try:
                chunk = os.read(master, 65536)
            except OSError:  # the last one has closed it
                break
            if not chunk:
                break
            data += chunk
        os.close(master)
        self.code = self.process.wait(PATIENCE)
        self.text = data.decode("utf-8")

    def drawn(self):
        """Every state of every line."""
        plain = self.text.replace("\x1b[K", "")
        return [state for line in plain.split("\n") for state in line.split("\r") if state]

    def screen(self):
        """What stands there at the end: of a redrawn line its last state."""
        return [line.rstrip("\r").split("\r")[-1].replace("\x1b[K", "") for line in self.text.split("\n")]


class Progress(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.practice = Practice()
        programs = cls.practice.root / "programs"
        programs.mkdir()
        for name in ("pg_restore", "pg_dumpall", "psql"):
            (programs / name).symlink_to(BINARIES / name)
        (programs / "pg_dump").write_text(SLOW.format(real=str(BINARIES / "pg_dump")))
        (programs / "pg_dump").chmod(0o755)
        cls.practice.configure(extra=f'[databases]\nprograms = "{programs}"\n')
        # How much it will be is known from the set before.
        cls.practice.run("--no-verify").check()

    @classmethod
    def tearDownClass(cls):
        cls.practice.close()

    def run_at_terminal(self, language):
        return Terminal([BINARY, "--dir", str(self.practice.office.data), "backup", "run", "--no-verify"], LC_ALL=language)

    def assert_in_order(self, terminal, left, copying):
        self.assertEqual(terminal.code, 0, terminal.text)
        states = terminal.drawn()
        self.assertIn(copying, terminal.text)
        bars = [state for state in states if "█" in state or "░" in state]
        for state in bars:
            self.assertLessEqual(len(state), COLUMNS - 1, f"would wrap: {state!r}")
        self.assertGreater(len(bars), 5, "redrawn")
        rates = [state for state in bars if re.search(rf"\d+ % .* \d[\d,.]* [kMG]B/s  .*{left}", state)]
        self.assertGreater(len(rates), 1, bars)
        percents = [int(re.search(r"(\d+) %", state).group(1)) for state in bars]
        self.assertTrue(all(0 <= percent <= 100 for percent in percents), percents)
        self.assertTrue(any(percent < 100 for percent in percents), "a bar that is always full says nothing")
        # A redrawn line ends before the next step's, and none is left half.
        self.assertEqual([line for line in terminal.screen() if ("█" in line or "░" in line) and line.count("%") != 1], [])

    def test_in_english(self):
        self.assert_in_order(self.run_at_terminal("C.UTF-8"), r"\d+:\d\d left", "copying databases and folders")

    def test_in_german(self):
        self.assert_in_order(self.run_at_terminal("de_DE.UTF-8"), r"noch \d+:\d\d", "Datenbanken und Ordner werden kopiert")

    def test_no_bar_where_standard_error_is_a_file(self):
        done = self.practice.office.run("backup", "run", "--no-verify").check()
        self.assertNotIn("█", done.errors)
        self.assertNotIn("\r", done.errors)
        self.assertIn("copying databases and folders\n", done.errors)


if __name__ == "__main__":
    unittest.main()
