"""Sealed copies outside the house, against rclone's own servers: sent, cut, taken up again, read back, brought home."""
import json
import os
import pathlib
import shutil
import subprocess
import threading
import unittest

from office import Office, wait_for
from remotes import PASSWORD, USER, Front, Server, obscured
from test_nights import Clock

BIG = 3_000_000  # bytes of each of the files that make a copy last


class OffSite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()
        cls.root = cls.office.directory
        cls.medium = cls.root / "medium"
        cls.medium.mkdir()
        cls.folders = []
        for number in range(4):
            folder = cls.root / "opt" / f"application{number}"
            folder.mkdir(parents=True)
            (folder / "noise").write_bytes(os.urandom(BIG))
            cls.folders.append(folder)
        cls.server = Server("webdav", cls.root).start()
        cls.front = Front(cls.server)
        cls.key = cls.root / "doctor.key"
        cls.recipient = cls.office.run("--json", "backup", "key", "new", str(cls.key), "--name", "Dr. Adler").check().json()["recipient"]
        cls.configure()
        cls.set = cls.office.run("--json", "backup", "run", "--verify", "L1").check().json()

    @classmethod
    def tearDownClass(cls):
        cls.front.stop()
        cls.server.stop()
        cls.office.close()

    @classmethod
    def configure(cls, recipients=None, site="", password=PASSWORD, extra_sections=""):
        secrets = cls.office.data / "secrets" / "rclone.conf"
        secrets.write_text(cls.server.section("bank", password, cls.front.port) + extra_sections)
        secrets.chmod(0o600)
        applications = "".join(f'[[application]]\nname = "a{i}"\n  [[application.folder]]\n  root = "{folder}"\n  restore = ["noise"]\n'
                               for i, folder in enumerate(cls.folders))
        recipients = [cls.recipient] if recipients is None else recipients
        (cls.office.data / "config" / "backup.toml").write_text(f"""
[backup]
target = "{cls.medium}"
verify = "L2"
[plan]
scheduler = "off"
[encryption]
recipients = {json.dumps(recipients)}
{applications}
[[offsite]]
name = "bank"
remote = "bank"
directory = "practice/sets"
keep = 1
{site}
""", encoding="utf-8")

    def setUp(self):
        self.front.reset()
        if not self.server.program or self.server.program.process.poll() is not None:
            self.server.start()
        self.configure()
        shutil.rmtree(self.server.files)
        self.server.files.mkdir()
        shutil.rmtree(self.office.data / "backup" / "offsite", ignore_errors=True)
        self.remote = self.server.files / "practice" / "sets"

    def offsite(self, *words, **environment):
        return self.office.run("--json", "backup", "offsite", *words, **environment)

    def site(self, *words, code=0):
        done = self.offsite(*words)
        self.assertEqual(done.code, code, done.output + done.errors)
        return done.json()["sites"][0]

    def set_id(self):
        return self.set["set"]

    # -- sent and brought home

    def test_an_unsealed_set_leaves_sealed_and_stock_tools_open_it(self):
        done = self.site("copy")
        self.assertTrue(done["verified"] and done["sealed_here"], done)
        ledger = (self.office.data / "backup" / "ledger.jsonl").read_text(encoding="utf-8")
        self.assertIn("bank", ledger.splitlines()[-1], "rotation and alarms know of it")
        there = self.remote / self.set_id()
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=there, check=True)
        subprocess.run(["minisign", "-Vm", "SHA256SUMS", "-p", "signing-key.pub"], cwd=there, check=True, stdout=subprocess.DEVNULL)
        manifest = json.loads((there / "manifest.json").read_text())
        self.assertTrue(all(member["sealed"] for member in manifest["members"]))
        member = next(member for member in manifest["members"] if member["name"] == "folders/a0-1.tar")
        sealed = b"".join((there / part).read_bytes() for part in member["parts"])
        packed = subprocess.run(["age", "-d", "-i", self.key], input=sealed, stdout=subprocess.PIPE, check=True).stdout
        plain = subprocess.run(["zstd", "-dc"], input=packed, stdout=subprocess.PIPE, check=True).stdout
        self.assertIn((self.folders[0] / "noise").read_bytes(), plain)
        self.assertEqual(list((self.office.data / "backup" / "offsite" / "sealed").glob("2*")), [], "the copy on the disk is gone")
        self.assertFalse(any(b"application0" in path.read_bytes() for path in there.rglob("*") if path.is_file()), "no name of a file leaves the house")

    # -- at night

    def night(self, days):
        done = self.office.run("--json", "backup", "night", **Clock(self.root).on_day(days))
        return done.code, json.loads(done.output.splitlines()[-1])

    def keep_the_ledger(self):
        """What is entered in nights to come is none of the other tests' business."""
        folders = (self.office.data / "backup", self.medium)
        before = {path: path.read_bytes() if path.is_file() else None for folder in folders for path in folder.iterdir()}

        def put_back():
            for path in (path for folder in folders for path in folder.iterdir()):
                if path not in before:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            for path, data in before.items():
                if data is not None:
                    path.write_bytes(data)
        self.addCleanup(put_back)

    def test_at_night_a_set_leaves_by_itself_and_a_cut_copy_is_taken_up(self):
        self.keep_the_ledger()
        self.front.cut_after = 2 * BIG
        code, cut = self.night(2)
        self.assertEqual((code, cut["ran"]), (10, True), cut)
        [copy] = cut["off_site"]
        self.assertFalse(copy["verified"])
        self.assertTrue((self.medium / copy["set"]).is_dir(), "the set itself is whole")
        self.assertTrue((self.office.data / "backup" / "offsite" / "bank.open").exists())
        self.front.reset()
        code, taken_up = self.night(2)
        self.assertEqual((code, taken_up["ran"], taken_up["off_site"][0]["verified"]), (0, False, True), taken_up)
        self.assertEqual(taken_up["off_site"][0]["set"], copy["set"])
        self.assertLess(self.front.sent, 4 * BIG, "what had arrived is not sent again")
        self.assertFalse((self.office.data / "backup" / "offsite" / "bank.open").exists())
        self.assertIn("off-site-verified", (self.office.data / "backup" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        self.assertEqual(self.night(2)[1]["off_site"], [])

    def test_without_recipients_nothing_leaves(self):
        self.configure(recipients=[])
        done = self.site("copy", code=2)
        self.assertIn("nobody is named who could open", done["error"]["message"])
        self.assertIn("backup key new", done["error"]["hint"])
        self.assertEqual(self.front.sent, 0)

    def test_a_set_comes_home_and_can_be_restored(self):
        self.site("copy")
        home = self.root / "home"
        fetched = self.site("fetch", "newest", "--into", str(home))
        self.assertEqual(fetched["path"], str(home / self.set_id()))
        into = self.root / "look"
        self.office.run("--json", "backup", "restore", "--set", fetched["path"], "--key", str(self.key), "--into", str(into), "--yes").check()
        noise = next(path for path in (into / "folders").rglob("noise") if "application2" in str(path))
        self.assertEqual(noise.read_bytes(), (self.folders[2] / "noise").read_bytes())
        again = self.site("fetch", "newest", "--into", str(home), code=4)
        self.assertIn("is there already", again["error"]["message"])
        shutil.rmtree(home)
        shutil.rmtree(into)

    def test_a_second_copy_sends_nothing_but_reads_all_back(self):
        first = self.site("copy")
        sent = self.front.sent
        second = self.site("copy")
        self.assertEqual((second["sent_files"], self.front.sent), (0, sent))
        self.assertTrue(second["verified"])
        status = self.site("status", code=10)
        self.assertEqual((status["verified"], status["newest"]), (1, self.set_id()))
        self.assertEqual(first["files"], len([path for path in self.remote.rglob("*") if path.is_file()]))

    # -- cut

    def test_cut_in_the_middle_it_sends_only_the_rest(self):
        self.front.cut_after = 2 * BIG
        done = self.offsite("copy")
        self.assertEqual(done.code, 3, done.output)
        self.assertIn("copy", done.json()["sites"][0]["error"]["hint"])
        whole = sum(piece.stat().st_size for piece in (self.office.data / "backup" / "offsite" / "sealed" / self.set_id()).rglob("*") if piece.is_file())
        before = {path.relative_to(self.remote) for path in self.remote.rglob("*") if path.is_file() and path.read_bytes() != b"half"}
        self.assertTrue(before, "something had arrived")
        self.front.reset()
        self.assertEqual(self.site("list")["sets"], [], "half a set is none")
        rest = self.site("copy")
        there = sum((self.remote / path).stat().st_size for path in before)
        self.assertTrue(rest["verified"])
        self.assertEqual(int(rest["sent_bytes"]), whole - there)
        self.assertLessEqual(self.front.sent, whole - there + 1000, "the wire says so, too")
        self.assertFalse(set(self.front.names) & {f"/practice/sets/{path}" for path in before})
        self.assertEqual([entry["set"] for entry in self.site("list")["sets"]], [self.set_id()])

    def test_a_killed_server_and_a_killed_copy(self):
        self.configure(site="kib_per_second = 2048")
        program = self.office.command("--json", "backup", "offsite", "copy")
        journal = self.office.data / "backup" / "offsite" / "bank.jsonl"
        wait_for(lambda: journal.exists() and journal.read_text().count('"sent"') >= 3, "three files have gone")
        self.server.stop()
        self.assertEqual(program.wait(120), 3, program.lines)
        self.server.start()
        program = self.office.command("--json", "backup", "offsite", "copy")
        had = journal.read_text().count('"sent"')
        wait_for(lambda: journal.read_text().count('"sent"') > had, "it goes on")
        program.process.kill()
        program.wait()
        gone = [json.loads(line) for line in journal.read_text().splitlines()]
        gone = {entry["file"] for entry in gone if entry.get("what") == "sent"}
        self.assertGreaterEqual(len(gone), 4)
        self.configure()
        self.front.names.clear()
        rest = self.site("copy")
        self.assertTrue(rest["verified"])
        again = {name for name in gone if any(path.endswith("/" + name) for path in self.front.names)}
        self.assertEqual(again, set(), "what had arrived was sent once more")
        self.assertGreater(len(self.front.names), 0)
        self.assertLess(int(rest["sent_bytes"]), int(rest["bytes"]))

    def test_interrupted_it_ends_in_order(self):
        self.configure(site="kib_per_second = 512")
        program = self.office.command("--json", "backup", "offsite", "copy")
        wait_for(lambda: self.front.sent > 10_000, "it sends")
        program.end()
        self.assertEqual(program.wait(), 4, program.lines)
        self.assertEqual(self.site("list")["sets"], [])

    def test_where_nothing_can_be_replaced_a_cut_copy_begins_beside(self):
        self.front.append_only = True
        self.front.cut_after = BIG
        self.assertEqual(self.offsite("copy").code, 3)
        self.assertIn(b"half", [path.read_bytes() for path in self.remote.rglob("*") if path.is_file()])
        self.front.cut_after = None
        done = self.site("copy")
        self.assertTrue(done["verified"], done)
        self.assertEqual(done["place"], self.set_id() + ".2")
        listing = self.site("list")
        self.assertEqual([entry["place"] for entry in listing["sets"]], [self.set_id() + ".2"])

    # -- damaged, refused, full

    def test_reading_back_finds_one_changed_byte(self):
        self.site("copy")
        victim = next(self.remote.rglob("a1-1.tar.zst.age"))
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
        checked = self.site("verify", code=40)["sets"][0]
        self.assertEqual([(finding["file"], finding["kind"]) for finding in checked["findings"]], [("folders/a1-1.tar.zst.age", "damaged")])
        self.assertEqual(self.site("status", code=10)["damaged"], [self.set_id()])
        self.assertEqual(self.site("fetch", "newest", "--into", str(self.root / "never"), code=40)["error"]["code"], "damaged")
        self.assertFalse((self.root / "never" / self.set_id()).exists())
        mended = self.site("copy")
        self.assertTrue(mended["verified"])
        victim.unlink()
        self.assertEqual(self.site("verify", self.set_id(), code=40)["sets"][0]["findings"][0]["kind"], "missing")
        self.assertEqual(self.site("list")["sets"], [])

    def test_another_hand_changed_the_sums(self):
        self.site("copy")
        sums = self.remote / self.set_id() / "SHA256SUMS"
        sums.write_text(sums.read_text().replace("a", "b", 1))
        self.assertEqual(self.site("verify", self.set_id(), code=40)["sets"][0]["findings"][0]["file"], "SHA256SUMS")
        self.assertEqual(self.site("list")["sets"], [])

    def test_errors_say_what_is_wrong(self):
        self.configure(password="falsch")
        wrong = self.site("copy", code=4)["error"]
        self.assertEqual(wrong["code"], "forbidden")
        self.assertIn("[bank]", wrong["hint"])
        self.configure()
        self.front.room = BIG
        full = self.site("copy", code=20)["error"]
        self.assertEqual(full["code"], "disk_full")
        self.front.reset()
        self.server.stop()
        self.assertEqual(self.site("list", code=3)["error"]["code"], "not_reachable")
        secrets = self.office.data / "secrets" / "rclone.conf"
        secrets.chmod(0o644)
        self.assertIn("chmod 600", self.site("list", code=4)["error"]["hint"])
        secrets.chmod(0o600)
        self.configure(site='kib_per_second = -1')
        self.assertEqual(self.offsite("list").code, 2)

    def test_nobody_sees_the_password(self):
        self.configure(site="kib_per_second = 4096")
        hidden = [PASSWORD.encode(), obscured(PASSWORD).encode()]
        hidden += [line.split(" = ")[1].encode() for line in (self.office.data / "secrets" / "rclone.conf").read_text().splitlines() if line.startswith("pass")]
        program = self.office.command("--json", "backup", "offsite", "copy")
        ended, seen = threading.Event(), set()

        def look():
            while not ended.is_set():
                for process in pathlib.Path("/proc").glob("[0-9]*"):
                    try:
                        words = (process / "cmdline").read_bytes()
                        if words.startswith(b"rclone\0--config"):
                            seen.add("looked")
                            words += (process / "environ").read_bytes()
                    except OSError:
                        continue
                    seen.update(secret for secret in hidden if secret in words)

        watcher = threading.Thread(target=look)
        watcher.start()
        code = program.wait(120)
        ended.set()
        watcher.join()
        self.assertEqual(code, 0, program.lines)
        self.assertEqual(seen, {"looked"})
        kept = [path for folder in ("log", "backup") for path in (self.office.data / folder).rglob("*") if path.is_file()]
        for path in kept:
            self.assertFalse(any(secret in path.read_bytes() for secret in hidden), path)

    # -- the account

    def test_the_probe_tells_an_account_that_may_delete_from_one_that_may_only_add(self):
        open_account = self.site("probe", code=10)
        self.assertEqual((open_account["may_overwrite"], open_account["may_delete"]), (True, True))
        self.front.append_only = True
        self.assertEqual(self.site("probe")["may_delete"], False)
        self.assertEqual(self.site("probe")["may_overwrite"], False, "a second time, with the first one's file there")
        self.site("copy")
        status = self.site("status")
        self.assertEqual((status["may_overwrite"], status["may_delete"], status["verified"]), (False, False, 1))

    def test_an_account_that_may_only_read(self):
        reader = Server("webdav", self.root, "--read-only")
        reader.start()
        try:
            (self.office.data / "secrets" / "rclone.conf").write_text(reader.section("bank"))
            self.assertEqual(self.site("copy", code=4)["error"]["code"], "forbidden")
            self.assertEqual(self.site("probe", code=4)["error"]["code"], "forbidden")
        finally:
            reader.stop()

    def test_sftp_does_the_same(self):
        server = Server("sftp", self.root)
        server.start()
        try:
            config = self.office.data / "secrets" / "rclone.conf"
            config.write_text(server.section("bank"))
            done = self.site("copy")
            self.assertTrue(done["verified"])
            self.assertEqual(len(self.site("list")["sets"]), 1)
            self.assertEqual(self.site("verify")["sets"][0]["verified"], True)
            home = self.root / "sftp-home"
            self.site("fetch", self.set_id(), "--into", str(home))
            subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=home / self.set_id(), check=True)
            shutil.rmtree(home)
            self.assertEqual(self.site("probe", code=10)["may_delete"], True)
            config.write_text(server.section("bank", "falsch"))
            self.assertEqual(self.site("list", code=4)["error"]["code"], "forbidden")
            server.stop()
            self.assertEqual(self.site("list", code=3)["error"]["code"], "not_reachable")
        finally:
            server.stop()


if __name__ == "__main__":
    unittest.main()
