"""Production, its mirror and a client, each a machine with a network of its own (net.py); what a scenario asks of them."""
import json
import os
import subprocess
import unittest

from net import Net, Writer, mount, unmount, why_not
from office import BINARY, Office, Program, wait_for
from somebody_elses_server import BINARIES
from test_mirror import Mirror, invite, open_for_mirrors

REASON = why_not()
needs_networks = unittest.skipIf(bool(REASON), REASON)
PATIENCE = 90
EVERY = 0.2  # seconds between two questions to a machine


def position_of(text):
    """"0/3000148" as a number."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def damage_first_page(side, relation):
    """`relation`: below the data directory. PostgreSQL has written it."""
    with open(side.data / "postgres" / "data" / relation, "r+b") as file:
        file.seek(8000)
        byte = file.read(1)[0]
        file.seek(8000)
        file.write(bytes([byte ^ 0xFF]))


class NetPair(unittest.TestCase):
    """One joined pair per class. Who is production changes; each scenario leaves a pair behind that is well, or the next one begins with a new one."""
    settings = ()  # lines for [mirror]
    disk_mb = None  # of the mirror: a disk of its own
    machines = ("produktion", "spiegel", "client")

    @classmethod
    def setUpClass(cls):
        cls.net = Net(*cls.machines)
        cls.addClassCleanup(cls.net.close)
        cls.one = Office(demo=None, listen="0.0.0.0:0")
        cls.addClassCleanup(cls.one.close)
        cls.place(cls.one, cls.net["produktion"])
        cls.configure()
        cls.one.start()
        cls.two = cls.a_mirror()
        cls.two.join(invite(cls.one)).check()
        cls.two.start()

    @classmethod
    def a_mirror(cls):
        mirror = Mirror(cls.one)
        if cls.disk_mb:
            cls.addClassCleanup(mirror.directory.rmdir)
            mount(mirror.directory, cls.disk_mb)
            cls.addClassCleanup(unmount, mirror.directory)
        cls.addClassCleanup(mirror.close)
        cls.place(mirror, cls.net["spiegel"])
        mirror.listen = "0.0.0.0:0"
        return mirror

    def replace_mirror(self, before=lambda new, code: None):
        """Another one joins in the mirror's place, on the same machine; `before` with what it joins with. Only while the first machine is production."""
        self.assertIs(self.production, self.one)
        self.two.stop()
        new, code = self.a_mirror(), invite(self.one, "--replace")
        before(new, code)
        new.join(code).check()
        type(self).two = self.mirror = new
        new.start()

    @staticmethod
    def place(side, machine):
        side.machine, side.prefix, side.address = machine, machine.prefix, machine.address

    @classmethod
    def configure(cls):
        open_for_mirrors(cls.one, listen="0.0.0.0")
        path = cls.one.data / "config" / "verbund.toml"
        text = path.read_text(encoding="utf-8").replace('listen = ""  ', 'listen = "0.0.0.0"  ', 1)  # of [database]: the client comes over TCP
        path.write_text(text.replace("[mirror]\n", "\n".join(["[mirror]", *cls.settings, ""]), 1), encoding="utf-8")

    def setUp(self):
        self.production, self.mirror = self.well()

    # -- what they say

    @staticmethod
    def state(side):
        done = side.run("--json", "mirror", "status")
        return done.json() if done.code == 0 else {}

    def well(self):
        """(production, mirror) as soon as one takes writes, the other follows it, and each has heard so."""
        def look():
            states = [(side, self.state(side)) for side in (self.one, self.two)]
            for (here, one), (there, two) in (states, states[::-1]):
                peers = one.get("pair") and two.get("pair") and one["pair"]["peer"] and two["pair"]["peer"]
                if (peers and one["role"] == "production" and two["role"] == "mirror" and one["pair"]["peer"].get("following") and one["pair"]["peer"]["alive"]
                        and two["pair"]["peer"].get("open") and two["pair"]["peer_asks"] and one["pair"]["term"] == two["pair"]["term"] and two["streaming"]):
                    return here, there
            return None
        return wait_for(look, "production and mirror to know of each other", PATIENCE, EVERY)

    def await_state(self, side, what, condition, patience=PATIENCE):
        def look():
            state = self.state(side)
            return state if state and condition(state) else None
        return wait_for(look, what, patience, EVERY)

    def misses_its_peer(self, side, what):
        return self.await_state(side, what, lambda state: state["pair"]["peer"] and not state["pair"]["peer"]["alive"])

    # -- the database

    def database_port(self, side):
        return side.database_port if side is self.one else side.database_port()

    def ask(self, side, sql, role="praxis", database="praxis"):
        """None: the database does not answer."""
        password = (side.data / "secrets" / role).read_text().strip()
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(side.data / "postgres" / "run"), "-p", str(self.database_port(side)),
                               "-U", role, "-d", database, "-c", sql], env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=120)
        self.said = done.stderr
        return done.stdout.strip() if done.returncode == 0 else None

    def psql(self, side, sql, **who):
        answer = self.ask(side, sql, **who)
        self.assertIsNotNone(answer, self.said)
        return answer

    def ids(self, side, table):
        return {int(line) for line in self.psql(side, f"SELECT id FROM {table}").split()}

    def writer(self, table, *sides):
        """On the client; it knows `sides`, or both machines, production first."""
        sides = sides or (self.production, self.mirror)
        self.psql(self.production, f"CREATE TABLE {table} (id int PRIMARY KEY)")
        password = (self.production.data / "secrets" / "praxis").read_text().strip()
        writer = Writer(self.net["client"], [(side.address, self.database_port(side)) for side in sides], password, table)
        self.addCleanup(writer.end)
        writer.wait_more()
        return writer

    def await_all(self, side, table, acknowledged):
        def look():
            rows = self.ask(side, f"SELECT id FROM {table}")
            return rows is not None and {int(line) for line in rows.split()} >= set(acknowledged)
        wait_for(look, f"everything acknowledged in {table}", PATIENCE, EVERY)

    def await_position(self, side, position):
        wait_for(lambda: position_of(self.ask(side, "SELECT pg_last_wal_replay_lsn()") or "0/0") >= position_of(position), f"the mirror to be at {position}", PATIENCE, EVERY)

    def amcheck(self, side, *words):
        """Every table and index of every database, by PostgreSQL's own program."""
        password = (side.data / "secrets" / "verbund").read_text().strip()
        done = subprocess.run([str(BINARIES / "pg_amcheck"), "--all", "--heapallindexed", *words, "-h", str(side.data / "postgres" / "run"),
                               "-p", str(self.database_port(side)), "-U", "verbund"], env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, ""), done.stderr)

    # -- what people do

    def promote(self, side, *words):
        """The report that was shown and accepted."""
        report = side.run("--json", "mirror", "promote").check().json()
        side.run("--json", "mirror", "promote", "--accept-loss", report["token"], *words).check()
        return report

    def start_again(self, side):
        """What its node says when it has started. A killed node's PostgreSQL may still be ending."""
        side.node = Program([*side.prefix, BINARY, "--dir", str(side.data), "--json", "node", "--listen", f"0.0.0.0:{side.port}"])
        return json.loads(side.node.line(lambda line: '"started":true' in line or '"error"' in line, PATIENCE))

    def rejoin(self, side):
        """What it lists as lost."""
        term = self.state(side)["pair"]["term"]
        side.run("--json", "mirror", "rejoin").check()
        return json.loads((side.data / "mirror" / f"lost-{term}.json").read_text())

    def part(self):
        """Nothing gets through between the two; the client reaches both."""
        self.production.machine.lose_to(self.mirror.machine)
        self.mirror.machine.lose_to(self.production.machine)
        self.addCleanup(self.one.machine.reach_all)
        self.addCleanup(self.two.machine.reach_all)

    def within_the_report(self, report, acknowledged, missing):
        """What the report said to be here is here: nothing is missing whose commit lies before `received`."""
        received = position_of(report["received"])
        for number in sorted(missing):
            position, _ = acknowledged[number]
            if position is not None:
                self.assertGreater(position, received, f"{number} is missing, though the mirror said that it had everything up to {report['received']}")
