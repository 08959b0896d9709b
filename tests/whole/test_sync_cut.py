"""A sync whose connection is cut, wherever that is: each change is done once, and both sides are equal afterwards (D8)."""
import os
import socket
import sqlite3
import threading
import unittest

from office import Office

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
# Handshake, requests and answers of a small sync are some thousand bytes each way; the step shares no factor with the sizes of records and headers. VERBUND_CUT_STEP=1: at every byte.
STEP = int(os.environ.get("VERBUND_CUT_STEP", "31"))


class Scissors:
    """A door in front of the node that lets so many bytes through in one direction, then closes both."""

    def __init__(self, port):
        self.port = port
        self.limit = {"up": None, "down": None}
        self.passed = {"up": 0, "down": 0}
        self.door = socket.create_server(("127.0.0.1", 0))
        self.own_port = self.door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def set(self, direction=None, limit=None):
        self.limit = {"up": None, "down": None}
        self.passed = {"up": 0, "down": 0}
        if direction:
            self.limit[direction] = limit

    def _serve(self):
        while True:
            try:
                client, _ = self.door.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            for source, target, direction in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self._carry, args=(source, target, direction), daemon=True).start()

    def _carry(self, source, target, direction):
        try:
            while part := source.recv(65536):
                limit = self.limit[direction]
                if limit is not None:
                    part = part[:max(0, limit - self.passed[direction])]
                self.passed[direction] += len(part)
                target.sendall(part)
                if limit is not None and self.passed[direction] >= limit:
                    break
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.door.close()


class Cut(unittest.TestCase):
    def setUp(self):
        self.office = Office(demo=None).start()
        self.addCleanup(self.office.close)
        self.office.psql("CREATE TABLE note (id integer PRIMARY KEY, text text NOT NULL, counted integer NOT NULL DEFAULT 0);"
                         "INSERT INTO note SELECT n, 'Notiz ' || n FROM generate_series(1, 20) n")
        rules = self.office.directory / "rules.toml"
        rules.write_text(RULES, encoding="utf-8")
        self.office.run("sync", "apply", str(rules)).check()
        self.scissors = Scissors(self.office.port)
        self.addCleanup(self.scissors.close)
        self.file = self.office.directory / "tablet.db"
        code = self.office.run("sync", "device", "invite", "--user", "anna").check().output.split()[0]
        self.device("init", "--server", f"127.0.0.1:{self.scissors.own_port}", "--code", code).check()
        self.device("sync").check()
        self.app = sqlite3.connect(self.file, isolation_level=None, timeout=30)
        self.addCleanup(self.app.close)
        # Every write of a row at the office is counted there.
        self.office.psql("CREATE TABLE written (id integer, text text); CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS"
                         " 'BEGIN INSERT INTO written VALUES (NEW.id, NEW.text); RETURN NEW; END';"
                         "CREATE TRIGGER counting AFTER INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION count_write()")

    def device(self, verb, *words):
        return self.office.run("--json", "device", verb, "--db", str(self.file), *words)

    def change_both(self, number):
        self.app.execute("UPDATE note SET text = ? WHERE id = ?", (f"Tablet {number}", 1 + number % 10))
        self.office.psql(f"UPDATE note SET text = 'Praxis {number}' WHERE id = {11 + number % 10}")

    def test_wherever_it_is_cut_each_change_is_done_once_and_both_sides_are_equal(self):
        self.change_both(0)
        self.scissors.set()
        self.device("sync").check()
        whole = dict(self.scissors.passed)
        number, cut = 0, 0
        for direction in ("up", "down"):
            for limit in range(1, whole[direction], STEP):
                number += 1
                self.change_both(number)
                self.scissors.set(direction, limit)
                cut += self.device("sync").code != 0
        self.scissors.set()
        done = self.device("sync").check().json()
        self.assertEqual((done["result"], done["rejected"], done["waiting"]), ("succeeded", 0, 0))
        self.assertGreater(cut, number // 2, "most of them did not come to their end")
        ours = self.app.execute("SELECT id, text FROM note ORDER BY id").fetchall()
        theirs = [tuple(line.split("|")) for line in self.office.psql("SELECT id, text FROM note ORDER BY id").splitlines()]
        self.assertEqual([(str(key), text) for key, text in ours], theirs)
        twice = self.office.psql("SELECT text, count(*) FROM written WHERE text LIKE 'Tablet %' GROUP BY text HAVING count(*) > 1")
        self.assertEqual(twice, "")


if __name__ == "__main__":
    unittest.main()
