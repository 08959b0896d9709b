"""A mirror on one machine over loopback: invited, joined, following, known from both sides; what people do wrong. T1, T2, T7."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

from office import BINARY, Office, Outcome, Program, Workstation, wait_for


def free_port():
    """PostgreSQL can't pick one by itself."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def open_for_mirrors(office, listen="127.0.0.1", more=""):
    """A fresh installation whose PostgreSQL listens for mirrors. `more`: further lines of [mirror]."""
    office.init()
    path = office.data / "config" / "verbund.toml"
    text = path.read_text(encoding="utf-8")
    office.database_port = free_port()
    text = text.replace("port = 5432", f"port = {office.database_port}", 1)
    text = text.replace('# listen = "0.0.0.0"             # addresses of the owned server for a mirror', f'{more}\nlisten = "{listen}"  #', 1)
    path.write_text(text, encoding="utf-8")
    return office


class Mirror:
    """The second machine: a directory of its own, its node."""

    def __init__(self, office):
        self.office = office
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="verbund-mirror-"))
        self.directory.chmod(0o755)
        self.data = self.directory / "data"
        self.node = None
        self.port = None
        self.prefix = []
        self.listen = "127.0.0.1:0"

    def join_words(self, code, port=None, directory=None):
        return [*self.prefix, BINARY, "--dir", str(directory or self.data), "--json", "mirror", "join", "--from", f"{self.office.address}:{port or self.office.port}", "--code", code,
                "--name", "spiegel", "--listen", self.listen, "--database-port", str(free_port())]

    def join(self, code, **where):
        done = subprocess.run(self.join_words(code, **where), capture_output=True, text=True, timeout=180, env={**os.environ, "LC_ALL": "C.UTF-8"})
        return Outcome(done)

    def start(self):
        self.node = Program([*self.prefix, BINARY, "--dir", str(self.data), "--json", "node", "--listen", f"{self.listen.rpartition(':')[0]}:{self.port or 0}"])
        started = json.loads(self.node.line(lambda line: '"started":true' in line or '"error"' in line))
        assert started.get("role") == "mirror", started
        self.port = started["port"]
        return self

    def stop(self):
        code = self.node.end()
        assert code == 0, f"the mirror's node ended with {code}: {self.node.errors[-5:]}"

    def run(self, *words, **environment):
        return Outcome(subprocess.run([*self.prefix, BINARY, "--dir", str(self.data), *words], capture_output=True, text=True, timeout=60,
                                      env={**os.environ, "LC_ALL": "C.UTF-8", **environment}))

    def status(self):
        return self.run("--json", "mirror", "status").check().json()

    def get(self, path, host="127.0.0.1"):
        context = ssl.create_default_context(cafile=str(self.data / "tls" / "ca.crt"))
        try:
            with urllib.request.urlopen(f"https://{host}:{self.port}{path}", timeout=20, context=context) as answer:
                return answer.status, answer.read().decode("utf-8")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8")

    def psql(self, sql):
        password = (self.data / "secrets" / "praxis").read_text().strip()
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.data / "postgres" / "run"), "-p", str(self.database_port()),
                               "-U", "praxis", "-d", "praxis", "-c", sql], env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout.strip(), done.stderr

    def database_port(self):
        return int(re.search(r"\[database\]\nport = (\d+)", (self.data / "config" / "mirror.toml").read_text()).group(1))

    def postmaster(self):
        try:
            return int((self.data / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def close(self):
        try:
            if self.node and self.node.process.poll() is None:
                self.node.end()
        finally:
            pid = self.postmaster()
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT)
            shutil.rmtree(self.directory, ignore_errors=True)


def invite(office, *words):
    return office.run("--json", "mirror", "invite", *words).check().json()["code"]


def psql(office, sql):
    """Office.psql knows the default port alone."""
    password = (office.data / "secrets" / "praxis").read_text().strip()
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(office.data / "postgres" / "run"), "-p", str(office.database_port),
                           "-U", "praxis", "-d", "praxis", "-c", sql], env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Following(unittest.TestCase):
    """Given a production with data, When a second machine joins by a code, Then it follows, and both sides know how far it is."""

    @classmethod
    def setUpClass(cls):
        cls.office = open_for_mirrors(Office()).start()
        cls.mirror = Mirror(cls.office)
        psql(cls.office, "CREATE TABLE before_join AS SELECT generate_series(1, 1000) AS n")
        cls.code = invite(cls.office)
        cls.joined = cls.mirror.join(cls.code).check().json()
        cls.mirror.start()

    @classmethod
    def tearDownClass(cls):
        cls.mirror.close()
        cls.office.close()

    def caught_up(self):
        def look():
            status = self.mirror.status()
            behind = status["behind"]
            return status if status["streaming"] and behind and behind["bytes"] == "0" and behind["age_ms"] < 3000 else None
        return wait_for(look, "the mirror to have all that production has")

    def test_it_has_what_was_there_and_what_comes(self):
        self.assertEqual(self.joined["name"], "spiegel")
        self.assertEqual(self.mirror.psql("SELECT count(*) FROM before_join")[1], "1000")
        psql(self.office, "CREATE TABLE IF NOT EXISTS after_join (n int); INSERT INTO after_join SELECT generate_series(1, 500)")
        wait_for(lambda: self.mirror.psql("SELECT count(*) FROM after_join")[1] == "500", "the rows on the mirror")
        code, _, errors = self.mirror.psql("INSERT INTO before_join VALUES (0)")
        self.assertNotEqual(code, 0)
        self.assertIn("read-only", errors)

    def test_both_sides_know_how_far_it_is(self):
        status = self.caught_up()
        self.assertEqual(status["role"], "mirror")
        self.assertEqual(status["production"]["address"], f"127.0.0.1:{self.office.port}")
        self.assertEqual(status["production"]["error"], "")
        self.assertEqual(status["loss"]["kind"], "unknown")
        self.assertTrue(status["slot"]["active"])
        self.assertFalse(status["slot"]["lost"])
        self.assertGreater(int(status["slot"]["safe_bytes"]), 1 << 29)

        def heard():
            told = self.office.run("--json", "mirror", "status").check().json()
            mirror = told["mirror"]
            return told if mirror["heard_age_ms"] is not None and mirror["heard_age_ms"] < 3000 and mirror["streaming"] else None
        told = wait_for(heard, "production to hear the mirror")
        self.assertEqual((told["role"], told["mirror"]["name"], told["mirror"]["address"]), ("production", "spiegel", "127.0.0.1"))
        self.assertIsNotNone(told["mirror"]["behind"])
        self.assertTrue(told["slot"]["active"])
        for shown in (self.office.run("mirror", "status").check().output, self.mirror.run("mirror", "status").check().output):
            self.assertIn("possible loss now", shown)
            self.assertIn("safe for another", shown)
        german = subprocess.run([BINARY, "--dir", str(self.mirror.data), "mirror", "status"], capture_output=True, text=True, timeout=60,
                                env={**os.environ, "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"})
        self.assertIn("möglicher Verlust", german.stdout)

    def test_its_node_answers_and_sends_workstations_to_production(self):
        self.assertEqual(self.mirror.get("/healthz"), (200, '{"healthy":true,"role":"mirror"}'))
        code, metrics = self.mirror.get("/metrics")
        self.assertEqual(code, 200)
        self.assertIn("verbund_mirror_behind_bytes", metrics)
        code, page = self.mirror.get("/")
        self.assertEqual(code, 200)
        self.assertIn(f"https://127.0.0.1:{self.office.port}/", page)
        code, answer = self.mirror.get("/api/mirror")
        self.assertEqual(code, 401, answer)
        code, answer = self.mirror.get("/api/records/patient")
        self.assertEqual((code, json.loads(answer)["error"]["code"]), (503, "unavailable"))
        station = Workstation(self.mirror.port)
        refused = station.ask("register", workstation="Labor", app="test", token=self.office.token)
        self.assertFalse(refused["ok"])
        self.assertEqual(refused["error"]["code"], "unavailable")
        self.assertEqual(refused["error"]["servers"], [f"127.0.0.1:{self.office.port}"])
        station.wait_closed()
        status = self.mirror.run("--json", "status").check().json()
        self.assertEqual((status["node"]["role"], status["database"]["state"]), ("mirror", "up"))

    def test_a_client_with_both_addresses_finds_production(self):
        done = self.office.run("--server", f"127.0.0.1:{self.mirror.port},127.0.0.1:{self.office.port}", "--json", "locks")
        done.check()

    def test_production_away_is_seen_by_age_and_it_follows_again(self):
        self.caught_up()
        self.office.stop()
        away = wait_for(lambda: (lambda s: s if s["production"]["error"] and s["behind"]["age_ms"] > 2000 and not s["streaming"] else None)(self.mirror.status()),
                        "the mirror to miss production")
        self.assertEqual(away["loss"]["kind"], "unknown")
        self.office.start()
        psql(self.office, "CREATE TABLE IF NOT EXISTS came_back (n int)")
        self.caught_up()
        wait_for(lambda: self.mirror.psql("SELECT count(*) FROM came_back")[0] == 0, "the new table on the mirror")

    def test_its_node_can_be_killed_and_started_again(self):
        self.mirror.node.process.kill()
        self.mirror.node.wait()
        self.mirror.start()
        self.caught_up()
        self.mirror.stop()
        psql(self.office, "CREATE TABLE IF NOT EXISTS while_away AS SELECT 1 AS n")
        self.mirror.start()
        self.caught_up()
        wait_for(lambda: self.mirror.psql("SELECT n FROM while_away")[1] == "1", "what was written while the mirror was off")

    def test_the_database_takes_over_tcp_nobody_but_the_mirror(self):
        for role in ("praxis", "verbund", "verbund_node"):
            password = (self.office.data / "secrets" / role).read_text().strip()
            done = subprocess.run(["psql", "-X", "-h", "127.0.0.1", "-p", str(self.office.database_port), "-U", role, "-d", "postgres", "-c", "SELECT 1"],
                                  env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("pg_hba.conf rejects", done.stderr)
        password = (self.mirror.data / "secrets" / "pair").read_text().strip()
        plain = subprocess.run(["psql", "-X", "-h", "127.0.0.1", "-p", str(self.office.database_port), "-U", "verbund_mirror_2", "-d", "postgres", "-c", "SELECT 1"],
                               env={**os.environ, "PGPASSWORD": password, "PGSSLMODE": "disable"}, capture_output=True, text=True, timeout=60)
        self.assertIn("pg_hba.conf rejects", plain.stderr)

    def test_no_log_holds_a_secret(self):
        secrets = [(self.mirror.data / "secrets" / name).read_text().strip() for name in ("pair", "verbund", "praxis")]
        secrets += [self.code, self.code.replace("-", "")]
        for root in (self.office.data, self.mirror.data):
            for path in [*(root / "log").rglob("*"), *(root / "postgres" / "log").rglob("*")]:
                text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
                for secret in secrets:
                    self.assertNotIn(secret, text, path)


class Mistakes(unittest.TestCase):
    """What people do wrong is said, leaves nothing behind, and costs no code."""

    @classmethod
    def setUpClass(cls):
        cls.office = open_for_mirrors(Office(demo=None)).start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def setUp(self):
        self.mirror = Mirror(self.office)
        self.addCleanup(self.mirror.close)

    def refused(self, outcome, code, words, exit_code=4):
        error = json.loads(outcome.output.splitlines()[-1])["error"]
        self.assertEqual(error["code"], code, error)
        self.assertRegex(error["message"], words)
        self.assertEqual(outcome.code, exit_code)
        return error

    def test_a_wrong_code(self):
        code = invite(self.office, "--replace")
        flipped = ("b" if code[0] == "a" else "a") + code[1:]
        self.refused(self.mirror.join(flipped), "unauthenticated", "the code is wrong")
        self.assertFalse(self.mirror.data.exists())
        self.refused(self.mirror.join(code[:-1]), "usage", "41 signs", exit_code=2)

    def test_a_code_of_another_installation(self):
        code = invite(self.office, "--replace")
        foreign = code[:20] + ("b" if code[20] == "a" else "a") + code[21:]
        error = self.refused(self.mirror.join(foreign), "untrusted", "verify the certificate", exit_code=3)
        self.assertIn("another installation", error["hint"])

    def test_an_older_code(self):
        code = invite(self.office, "--replace")
        invite(self.office, "--replace")
        self.refused(self.mirror.join(code), "unauthenticated", "newer one")

    def test_an_expired_code(self):
        code = invite(self.office, "--replace")
        path = self.office.data / "mirror" / "invitation.json"
        invitation = json.loads(path.read_text())
        invitation["until"] = "2020-01-01T00:00:00.000000Z"
        path.write_text(json.dumps(invitation))
        self.refused(self.mirror.join(code), "unauthenticated", "good until 2020-01-01")

    def test_production_unreachable(self):
        code = invite(self.office, "--replace")
        self.refused(self.mirror.join(code, port=free_port()), "not_reachable", "connect to 127.0.0.1", exit_code=3)
        self.assertFalse(self.mirror.data.exists())

    def test_a_directory_that_is_not_empty(self):
        code = invite(self.office, "--replace")
        self.mirror.data.mkdir()
        (self.mirror.data / "letters.txt").write_text("keep me")
        self.refused(self.mirror.join(code), "already_exists", "not empty")
        self.assertEqual([p.name for p in self.mirror.data.iterdir()], ["letters.txt"])

    def test_a_code_is_good_once_and_a_killed_join_goes_on(self):
        code = invite(self.office, "--replace")
        joining = Program(self.mirror.join_words(code))
        admission = self.mirror.data / "mirror" / "admission.json"
        wait_for(lambda: admission.exists() or joining.process.poll() is not None, "production to let the machine in")
        joining.process.kill()
        joining.wait()
        self.assertTrue(admission.exists(), joining.lines)
        refused = self.mirror.run("--json", "node")
        self.refused(refused, "incomplete", "joining as a mirror", exit_code=10)
        other = Mirror(self.office)
        self.addCleanup(other.close)
        self.refused(other.join(code), "unauthenticated", "the code was used at")
        self.mirror.join(code).check()
        self.assertFalse(admission.exists())
        self.mirror.start()
        wait_for(lambda: self.mirror.status()["streaming"], "the mirror to follow")
        self.refused(self.office.run("--json", "mirror", "invite"), "already_exists", "spiegel is the mirror")
        # Another machine takes its place: the first one is no mirror any more, and says so.
        other.join(invite(self.office, "--replace")).check()
        wait_for(lambda: "not its mirror" in self.mirror.status()["production"]["error"], "the first mirror to be told")


class Unprepared(unittest.TestCase):
    def test_production_whose_database_listens_for_nobody(self):
        office = Office(demo=None).start()
        self.addCleanup(office.close)
        refused = office.run("--json", "mirror", "invite")
        error = json.loads(refused.output)["error"]
        self.assertEqual(error["code"], "server_setting")
        self.assertIn("[mirror]", error["hint"])
        self.assertEqual(office.run("--json", "mirror", "status").check().json()["mirror"], None)


if __name__ == "__main__":
    unittest.main()
