"""Devices on the road: a line that is slow and loses, and is gone now and then. D8, D11."""
import contextlib
import os
import queue
import random
import socket
import sqlite3
import subprocess
import threading
import time
import unittest

from net import Net
from net_pair import needs_networks
from office import BINARY, Office, Outcome, wait_for

RULES = """[[subscription]]
name = "patients"
table = "patient"
rights = ["read", "insert", "update", "delete"]
conflict = "merge"

[[subscription]]
name = "visits"
table = "visit"
filter = "patient_id IN (SELECT patient_id FROM care WHERE nurse = :user)"
rights = ["read", "insert", "update", "delete"]

[[set]]
name = "tour"
subscriptions = ["patients", "visits"]

[[group]]
name = "nurses"
sets = ["tour"]

[[user]]
name = "anna"
group = "nurses"

[[user]]
name = "jörg"
group = "nurses"
"""
ROWS = 8000
SEED = int(os.environ.get("VERBUND_SIM_SEED", random.SystemRandom().randrange(1 << 32)))


class Line:
    """What lies between devices and the office: each piece is late by 25 to 55 ms, one in thirty as late as TCP sends a lost one again; it can be cut, so that both ends notice."""

    prefix = []  # in front of the devices' commands

    def __init__(self, port, numbers):
        self.port, self.random = port, numbers
        self.lock = threading.Lock()
        self.open, self.is_cut = set(), False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                device, _ = self.listener.accept()
            except OSError:
                return  # closed
            with self.lock:
                if self.is_cut:
                    device.close()
                    continue
                office = socket.create_connection(("127.0.0.1", self.port))
                self.open |= {device, office}
            for source, sink in ((device, office), (office, device)):
                pieces = queue.Queue()
                threading.Thread(target=self._take, args=(source, pieces), daemon=True).start()
                threading.Thread(target=self._give, args=(pieces, sink), daemon=True).start()

    def _take(self, source, pieces):
        while True:
            try:
                piece = source.recv(65536)
            except OSError:
                piece = b""
            with self.lock:
                late = self.random.uniform(0.025, 0.055) + (0.25 if self.random.random() < 1 / 30 else 0)
            pieces.put((time.monotonic() + late, piece))
            if not piece:
                return

    def _give(self, pieces, sink):
        while True:
            due, piece = pieces.get()
            time.sleep(max(0.0, due - time.monotonic()))  # the line's own delay
            try:
                if piece:
                    sink.sendall(piece)
                else:
                    sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # cut
            if not piece:
                return

    def cut(self):
        with self.lock:
            self.is_cut = True
            for each in self.open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self.open.clear()

    def plug_in(self):
        with self.lock:
            self.is_cut = False

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


class Cable:
    """The same as a network of the kernel's: packets are late, are lost and come again, and a cut says nothing to anybody."""

    def __init__(self, office):
        self.net = Net("praxis", "unterwegs")
        self.machine = self.net["unterwegs"]
        self.prefix = self.machine.prefix
        office.prefix, office.listen, self.office = self.net["praxis"].prefix, "0.0.0.0:0", office

    @property
    def address(self):
        return f"{self.net['praxis'].address}:{self.office.port}"

    def cut(self):
        self.machine.cut()

    def plug_in(self):
        self.machine.plug_in()

    def close(self):
        self.net.close()


class Tablet:
    def __init__(self, test, number, user):
        self.test, self.user = test, user
        self.file = test.office.directory / f"Tablet {number}.db"
        code = test.office.run("sync", "device", "invite", "--user", user).check().output.split()[0]
        self.run("init", "--server", test.line.address, "--code", code).check()
        self.app = None

    def run(self, verb, *words):
        command = [*self.test.line.prefix, BINARY, "--json", "device", verb, "--db", str(self.file), *words]
        return Outcome(subprocess.run(command, capture_output=True, text=True, timeout=180, env={**os.environ, "LC_ALL": "C.UTF-8"}))

    def sync(self):
        return self.run("sync")

    def begin_sync(self):
        return subprocess.Popen([*self.test.line.prefix, BINARY, "--json", "device", "sync", "--db", str(self.file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def write(self, sql):
        if self.app is None:
            self.app = sqlite3.connect(self.file, isolation_level=None, timeout=30)
            self.test.addCleanup(self.app.close)
        try:
            self.app.execute(sql)
        except sqlite3.IntegrityError:
            pass  # the device's own constraint

    def rows(self, query):
        return self.app.execute(query).fetchall()


class Road(unittest.TestCase):
    def setUp(self):
        print(f"VERBUND_SIM_SEED={SEED}", flush=True)
        self.random = random.Random(SEED)
        self.open_office()
        self.office.psql("CREATE TABLE patient (id integer PRIMARY KEY, name text NOT NULL, note text); CREATE TABLE visit (id integer PRIMARY KEY, patient_id integer NOT NULL, text text);"
                         "CREATE TABLE care (id integer PRIMARY KEY, patient_id integer NOT NULL, nurse text NOT NULL);"
                         f"INSERT INTO patient SELECT n, 'Patient ' || n, md5(n::text) FROM generate_series(1, {ROWS}) n; INSERT INTO visit SELECT n, 1 + n % 40, 'Besuch' FROM generate_series(1, 200) n;"
                         "INSERT INTO care SELECT n, n, (ARRAY['anna', 'jörg'])[1 + n % 2] FROM generate_series(1, 40) n")
        rules = self.office.directory / "regeln.toml"
        rules.write_text(RULES, encoding="utf-8")
        self.office.run("sync", "apply", str(rules)).check()

    def open_office(self):
        self.office = Office(demo=None).start()
        self.addCleanup(self.office.close)
        self.line = Line(self.office.port, self.random)
        self.addCleanup(self.line.close)

    def cut_while(self, running):
        """The line is gone for a moment, then there again; the sync goes on, or the next one does."""
        self.line.cut()
        wait_for(lambda: running.poll() is not None or self.random.random() < 0.02, "the sync to notice, or the line to be mended", every=0.05)
        self.line.plug_in()
        running.wait(150)
        running.stdout.close()

    def one_round(self, tablets):
        pick = lambda upto: self.random.randrange(1, upto)
        for tablet in tablets:
            for _ in range(self.random.randrange(6)):
                tablet.write(self.random.choice([
                    f"UPDATE patient SET name = '{tablet.user} {pick(1000)}' WHERE id = {pick(60)}",
                    f"UPDATE visit SET text = 'fertig {pick(1000)}' WHERE id = {pick(200)}",
                    f"INSERT INTO visit VALUES ({1000 + pick(1000)}, {pick(41)}, 'neu')",
                    f"DELETE FROM visit WHERE id = {pick(200)}"]))
        self.office.psql(self.random.choice([
            f"UPDATE care SET nurse = CASE nurse WHEN 'anna' THEN 'jörg' ELSE 'anna' END WHERE id = {pick(41)}",
            f"UPDATE patient SET note = 'Praxis {pick(1000)}' WHERE id < {pick(60)}",
            f"DELETE FROM care WHERE id = {pick(41)}; INSERT INTO care VALUES ({100 + pick(10000)}, {pick(41)}, 'anna') ON CONFLICT DO NOTHING",
            f"DELETE FROM visit WHERE id = {pick(200)}"]))
        for tablet in tablets:
            running = tablet.begin_sync()
            if self.random.random() < 0.4:
                self.cut_while(running)
            else:
                running.communicate(timeout=150)

    def is_quiet(self, tablet):
        done = tablet.sync()
        if done.code != 0:
            return False
        said = done.json()
        return sum(one["upserted"] + one["deleted"] for one in said["sessions"]) + said["sent"] + said["applied"] + said["rejected"] + said["waiting"] == 0

    def test_at_rest_everybody_has_what_is_his(self):
        """Given devices on a line that is slow, loses and is cut now and then, When office and devices have worked, Then at rest each has its rows and every change is in the office or a reject."""
        tablets = [Tablet(self, number, user) for number, user in enumerate(("anna", "jörg", "anna"))]
        first = tablets[0].begin_sync()
        wait_for(lambda: (tablets[0].file.parent / (tablets[0].file.name + "-verbund-inbox")).exists() or first.poll() is not None, "the first blocks")
        self.cut_while(first)
        for tablet in tablets:
            wait_for(lambda tablet=tablet: tablet.sync().code == 0, "the first sync", patience=120)
        for _ in range(4):
            self.one_round(tablets)
        wait_for(lambda: all([self.is_quiet(tablet) for tablet in tablets]), "all to come to rest", patience=240)
        everything = "SELECT count(*) || ' ' || coalesce(sum(id), 0) || ' ' || coalesce(sum(length(name) + length(note)), 0) FROM patient"
        for tablet in tablets:
            self.assertEqual(tablet.rows(everything)[0][0], self.office.psql(everything))
            mine = self.office.psql(f"SELECT string_agg(id || ' ' || text, ', ' ORDER BY id) FROM visit WHERE patient_id IN (SELECT patient_id FROM care WHERE nurse = '{tablet.user}')")
            self.assertEqual(", ".join(f"{number} {text}" for number, text in tablet.rows("SELECT id, text FROM visit ORDER BY id")), mine)
        self.assertEqual(self.office.psql("SELECT count(*) FROM sync.change WHERE state IN ('accepted', 'applying')", database="verbund_mid"), "0")
        self.assertEqual(int(self.office.psql("SELECT count(*) FROM sync.change WHERE state = 'rejected'", database="verbund_mid")),
                         sum(tablet.rows("SELECT count(*) FROM verbund_reject")[0][0] for tablet in tablets))


@needs_networks
class Packets(Road):
    def open_office(self):
        self.office = Office(demo=None)
        self.line = Cable(self.office)
        self.addCleanup(self.line.close)
        self.addCleanup(self.office.close)
        self.office.init()
        config = self.office.data / "config" / "verbund.toml"
        config.write_text(config.read_text(encoding="utf-8").replace("[listen]\n", f'[listen]\nnames = ["{self.line.net["praxis"].address}"]\n', 1), encoding="utf-8")
        self.office.start()
        print(f"the line: {self.line.machine.rough()}", flush=True)

    def test_at_rest_everybody_has_what_is_his(self):
        """Given the same on a network whose packets are late and lost and whose cable is pulled now and then, When office and devices have worked, Then at rest the same holds."""
        super().test_at_rest_everybody_has_what_is_his()
        self.assertGreater(self.line.machine.lost(), 20, "packets were lost")


if __name__ == "__main__":
    unittest.main()
