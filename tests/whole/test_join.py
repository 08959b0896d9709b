"""Joining as docs/protocol/join.md tells it: netcat, Python, a WebSocket from npm, the installed C++ library. S2, S3."""
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from office import BINARY, Office, PAGE_STAGE, PATIENCE, Program, ROOT, Traffic, wait_for

JOIN = (ROOT / "docs" / "protocol" / "join.md").read_text(encoding="utf-8")
BUILD = pathlib.Path(BINARY).resolve().parent


def block(language, after):
    """The first code block of that language after a heading of join.md, word for word."""
    return re.search(rf"## {re.escape(after)}\n.*?```{language}\n(.*?)```", JOIN, re.S).group(1)


@contextlib.contextmanager
def program(argv, **environment):
    running = Program(argv, environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.wait()


class Documented(unittest.TestCase):
    """What join.md shows is executed as it is written; only port, password and keys are put in."""

    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()
        cls.patient = cls.office.a_patient()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def lines_of(self, after):
        lines = block("", after).splitlines()
        words = [line.replace("…", self.office.passwords["admin"]).replace('"anna"', '"admin"') for line in lines if line.startswith("{")]
        command = next(line[2:].split() for line in lines if line.startswith("$"))
        return command, words

    def test_netcat_in_five_lines(self):
        command, words = self.lines_of("With netcat in five lines")
        self.assertEqual(len(words) + 1, 5)
        argv = [str(self.office.port) if word == "2222" else word for word in command]
        netcat = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            for word in words:
                request = json.loads(word)
                netcat.stdin.write(word.encode() + b"\n")
                netcat.stdin.flush()
                while True:
                    line = netcat.stdout.readline()
                    self.assertTrue(line, f"netcat ended at {request['op']}")
                    answer = json.loads(line)
                    if answer.get("re") == request["id"]:
                        break
                    self.assertIn("event", answer)
                self.assertTrue(answer["ok"], answer)
            observer = self.office.workstation("Beobachter").keep_alive()
            self.assertIn("nc", [s["workstation"] for s in observer.ask("who")["sessions"]])
            netcat.send_signal(signal.SIGINT)
            observer.event("session.state", lambda e: e["state"] == "reconnecting")
            self.assertEqual(observer.event("session.left", lambda e: e["workstation"] == "nc")["reason"], "lost")
            observer.close()
        finally:
            netcat.kill()
            netcat.wait()
            netcat.stdin.close()
            netcat.stdout.close()

    def test_openssl_with_the_fetched_authority(self):
        text = JOIN[JOIN.index("## TLS"):]
        fetch, connect = [line[2:] for line in re.search(r"```\n(.*?)```", text, re.S).group(1).splitlines() if line.startswith("$")]
        with tempfile.TemporaryDirectory() as folder:
            put_in = lambda line: line.replace("2222", str(self.office.port)).replace("praxis-server", "localhost").split()
            subprocess.run(put_in(fetch), cwd=folder, check=True, capture_output=True, timeout=60)
            _, words = self.lines_of("TLS")
            tls = subprocess.Popen(put_in(connect), cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                tls.stdin.write(words[0].encode() + b"\n")
                tls.stdin.flush()
                self.assertIn(b'"welcome"', tls.stdout.readline())
            finally:
                tls.kill()
                tls.communicate()

    def test_python_in_ten_lines(self):
        script = block("python", "With Python in ten lines").replace("2222", str(self.office.port))
        with program([sys.executable, "-u", "-c", script], VERBUND_TOKEN=self.office.token) as scale:
            wait_for(lambda: "Waage" in self.office.run("who").output, "Python has joined")
            self.office.psql(f"UPDATE patient SET given_name = 'Gewogene' WHERE id = '{self.patient}'")
            scale.line(lambda line: f"patient/{self.patient}" in line)

    def test_python_says_why_it_is_refused(self):
        script = block("python", "With Python in ten lines").replace("2222", str(self.office.port))
        with program([sys.executable, "-u", "-c", script], VERBUND_TOKEN="0" * 64) as scale:
            self.assertEqual(scale.wait(), 1)
            scale.line(lambda line: line.strip(), errors=True)


WEBSOCKET_CLIENT = """
const WebSocket = require("ws");
const [url, ca, token, key] = process.argv.slice(1);
// Node 18 tries one address only, and "localhost" may be ::1 first; the office of the tests listens on 127.0.0.1.
const node = new WebSocket(url, {family: 4, ...(ca ? {ca: require("fs").readFileSync(ca)} : {})});
let id = 0;
const send = (op, fields) => node.send(JSON.stringify({op, id: ++id, ...fields}));
node.on("open", () => send("register", {token, workstation: "npm", app: "ws"}));
node.on("error", (error) => { console.error(String(error)); process.exit(1); });
node.on("close", () => process.exit(0));
node.on("message", (data) => {
  const message = JSON.parse(data);
  console.log(JSON.stringify(message));
  if (message.event === "ping") node.send('{"op":"beat"}');
  if (message.welcome) send("lock", {keys: [key]});
  if (message.event === "changes") send("unlock", {keys: [key]});
  if (message.re === 3) send("goodbye", {});
});
"""


class WebSocketFromNpm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node_js = shutil.which("node")
        if not cls.node_js:
            raise unittest.SkipTest("Node.js is not installed")
        if not (PAGE_STAGE / "node_modules" / "ws").is_dir():
            raise unittest.SkipTest("the npm package ws is missing: the page has not been built")
        cls.office = Office().start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def joins(self, url, ca):
        patient = self.office.a_patient()
        argv = [self.node_js, "-e", WEBSOCKET_CLIENT, url, ca, self.office.token, f"patient/{patient}"]
        with program(argv, NODE_PATH=str(PAGE_STAGE / "node_modules")) as client:
            client.line(lambda line: '"token"' in line and json.loads(line).get("re") == 2)
            held = self.office.run("--json", "locks").check().json()
            self.assertEqual([(l["key"], l["workstation"]) for l in held], [(f"patient/{patient}", "npm")])
            self.office.psql(f"UPDATE patient SET given_name = 'Über ws' WHERE id = '{patient}'")
            change = json.loads(client.line(lambda line: '"changes"' in line))
            self.assertEqual(change["by"]["workstation"], "npm")
            self.assertEqual(client.wait(), 0, client.errors)
        self.assertEqual(self.office.run("--json", "locks").check().json(), [])

    def test_plain(self):
        self.joins(f"ws://127.0.0.1:{self.office.port}/ws", "")

    def test_encrypted_with_the_offices_authority(self):
        self.joins(f"wss://localhost:{self.office.port}/ws", str(self.office.data / "tls" / "ca.crt"))

    def test_without_the_authority_it_does_not_trust(self):
        argv = [self.node_js, "-e", WEBSOCKET_CLIENT, f"wss://localhost:{self.office.port}/ws", "", self.office.token, "patient/1"]
        with program(argv, NODE_PATH=str(PAGE_STAGE / "node_modules")) as client:
            self.assertEqual(client.wait(), 1)
            client.line(lambda line: "certificate" in line, errors=True)


class InstalledLibrary(unittest.TestCase):
    """Given the library installed into a prefix, the examples are built with plain g++ and pkg-config alone."""

    @classmethod
    def setUpClass(cls):
        if not (BUILD / "installed" / "libverbund_client.a").exists():
            raise unittest.SkipTest("the build has not made installed/libverbund_client.a (ninja verbund_client_archive)")
        cls.scratch = pathlib.Path(tempfile.mkdtemp(prefix="verbund-install-"))
        try:
            cls.install()
            cls.office = Office().start()
        except BaseException:
            shutil.rmtree(cls.scratch)
            raise

    @classmethod
    def install(cls):
        prefix = cls.scratch / "prefix"
        subprocess.run(["cmake", "--install", BUILD, "--component", "client", "--prefix", prefix], check=True, capture_output=True)
        config = next(prefix.rglob("verbund-client.pc"))
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "verbund-client"], check=True, capture_output=True, text=True,
                               env={**os.environ, "PKG_CONFIG_PATH": str(config.parent)}).stdout.split()
        assert not any(str(ROOT) in flag for flag in flags), flags
        for name in ("join", "edit_record"):
            source = shutil.copy(ROOT / "examples" / f"{name}.cc", cls.scratch)
            built = subprocess.run(["g++", "-std=c++20", "-Wall", "-Wextra", source, *flags, "-o", cls.scratch / name],
                                   capture_output=True, text=True, timeout=300)
            assert built.returncode == 0, built.stderr[-4000:]

    @classmethod
    def tearDownClass(cls):
        cls.office.close()
        shutil.rmtree(cls.scratch)

    def arguments(self, name, last):
        return [str(self.scratch / name), f"localhost:{self.office.port}", str(self.office.data / "tls" / "ca.crt"), self.office.token, last]

    def test_only_header_archive_and_pkg_config_are_installed(self):
        names = sorted(path.name for path in (self.scratch / "prefix").rglob("*") if path.is_file())
        self.assertEqual(names, ["client.h", "libverbund_client.a", "verbund-client.pc"])

    def test_an_edit_locks_and_unlocks(self):
        key = f"patient/{self.office.a_patient()}"
        observer = self.office.workstation("Beobachter")
        done = subprocess.run(self.arguments("edit_record", key), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        token = re.match(r"token (\d+)", done.stdout).group(1)
        granted = observer.event("lock.granted", lambda e: e["locks"][0]["key"] == key)
        self.assertEqual((granted["locks"][0]["token"], granted["locks"][0]["note"]), (token, "example edit"))
        observer.event("lock.released", lambda e: key in e["keys"])
        observer.close()

    def test_an_edit_of_a_held_record_names_the_holder(self):
        key = f"patient/{self.office.a_patient(1)}"
        holder = self.office.workstation("Sprechzimmer 1").keep_alive()
        self.assertTrue(holder.ask("lock", keys=[key])["ok"])
        done = subprocess.run(self.arguments("edit_record", key), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("Sprechzimmer 1 (admin)", done.stderr)
        holder.close()

    def test_a_joined_program_follows_the_node_over_a_restart(self):
        patient = self.office.a_patient(2)
        joined = subprocess.Popen(self.arguments("join", "Empfang 1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(joined.stdout.readline(), "connected\n")
            self.office.psql(f"UPDATE patient SET given_name = 'eins' WHERE id = '{patient}'")
            self.assertEqual(joined.stdout.readline(), f"update patient/{patient}\n")
            self.office.kill()
            self.assertRegex(joined.stdout.readline(), "^read-only: ")
            self.office.psql(f"UPDATE patient SET given_name = 'zwei' WHERE id = '{patient}'")
            self.office.start()
            lines = [joined.stdout.readline() for _ in range(2)]
            self.assertEqual(sorted(lines), sorted(["connected\n", f"update patient/{patient}\n"]))
            joined.stdin.write("\n")
            joined.stdin.flush()
            self.assertEqual(joined.wait(PATIENCE), 0)
        finally:
            joined.kill()
            joined.wait()
            joined.stdin.close()
            joined.stdout.close()


class RecordedTraffic(unittest.TestCase):
    """Every message of a varied scenario is as docs/protocol/schema says."""

    def test_is_as_documented(self):
        Traffic.lines.clear()
        office = Office().start()
        try:
            self.scenario(office)
        finally:
            office.close()
        with tempfile.NamedTemporaryFile("w", suffix=".traffic", encoding="utf-8") as recording:
            recording.write("\n".join(Traffic.lines) + "\n")
            recording.flush()
            outcome = subprocess.run([sys.executable, ROOT / "tests" / "protocol" / "validate_traffic.py", recording.name],
                                     capture_output=True, text=True, timeout=120)
        if "No module named 'jsonschema'" in outcome.stderr:
            self.skipTest("the Python module jsonschema is not installed")
        self.assertEqual(outcome.returncode, 0, outcome.stderr)

    def scenario(self, office):
        one, two = office.workstation("Empfang 1"), office.workstation("Labor", kind="workstation", lang="de")
        keys = [f"patient/{office.a_patient(n)}" for n in range(4)]
        one.ask("lock", keys=keys[:2], request="a", note="Aufnahme")
        two.ask("lock", keys=keys[:1])
        waiting = two.send("lock", keys=keys[1:3], wait_ms=20_000, request="b")
        office.psql("UPDATE patient SET given_name = 'Ulla'")
        one.event("changes")
        one.ask("unlock", keys=keys[:2], wrote=True)
        self.assertTrue(two.reply(waiting)["ok"])
        stuck = one.send("lock", keys=keys[1:2], wait_ms=20_000, request="c")
        one.ask("cancel", request="c")
        self.assertEqual(one.reply(stuck)["error"]["code"], "cancelled")
        one.ask("break", keys=keys[1:2], reason="Feierabend")
        two.event("lock.lost")
        one.ask("tell", to="Labor", text="Grüße", request="d")
        one.ask("tell", to="*", text="an alle")
        two.event("message", lambda e: e["to"] == "*")
        for op in ("who", "locks", "status", "beat"):
            one.ask(op)
        one.ask("watch", watch={"types": ["patient"], "locks": False, "presence": True})
        one.ask("changed", changes=[{"key": "letter/1", "op": "insert"}], request="e")
        two.event("changes", lambda e: e["changes"][0]["key"] == "letter/1")
        for op, fields in (("unlock", {"keys": ["patient/none"]}), ("tell", {"to": "niemand", "text": "x"}), ("break", {"keys": keys, "reason": "-"})):
            two.ask(op, **fields)
        two.tear()
        one.event("session.state", lambda e: e["state"] == "reconnecting")
        back = office.workstation()
        welcome = two.welcome
        back.ask("resume", session=welcome["session"], secret=welcome["secret"], cursor=welcome["cursor"])
        again = office.workstation("Alt", cursor={"history": "0" * 32, "csn": "1"})
        again.event("snapshot")
        office.run("import", "--synthetic", "300", "--seed", str(random.randrange(1000))).check()
        back.event("changes")
        for station in (one, back, again):
            station.ask("goodbye")
            station.wait_closed()


if __name__ == "__main__":
    unittest.main()
