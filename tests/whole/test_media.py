"""Exchangeable media on real mounts: the right one, all the wrong ones, one that goes mid-run, a full one; the ledger that is on each."""
import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from office import BINARY, Office, in_the_evening, wait_for
from test_backup import Practice

CLONE_NEWNS = 0x20000
MEDIUM_MIB = 200
SHIFT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
static long days(void) { const char *text = getenv("VERBUND_TEST_DAYS"); return text ? atol(text) : 0; }
int clock_gettime(clockid_t which, struct timespec *into) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  const int done = real(which, into);
  if (which == CLOCK_REALTIME) into->tv_sec += days() * 86400;
  return done;
}
"""


def mounts_of_our_own():
    """Mounts of these tests are seen by no one else, and go with the process."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise unittest.SkipTest(f"no mount namespace of its own is allowed here: {os.strerror(ctypes.get_errno())}")
    done = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, text=True)
    if done.returncode != 0:
        raise unittest.SkipTest(f"mounts can't be made private here: {done.stderr.strip()}")


class Medium:
    """A file system of its own that is put into the drive and taken out: bound there from where it lives."""

    def __init__(self, home, drive):
        self.home, self.drive = home, drive
        home.mkdir(parents=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEDIUM_MIB}m,mode=0755", "verbund-medium", home], capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest(f"no file system can be mounted here: {done.stderr.strip()}")

    def put_in(self):
        subprocess.run(["mount", "--bind", self.home, self.drive], check=True)
        return self

    def ledger(self):
        return next(self.home.glob("verbund-ledger-*.jsonl"))

    def sets(self):
        return sorted(path.name for path in self.home.iterdir() if path.is_dir() and (path / "SHA256SUMS.minisig").exists())

    def gone(self):
        subprocess.run(["umount", "-l", self.home], check=False)


class MediaOffice(Practice):
    def __init__(self):
        super().__init__()
        self.drive = self.root / "drive"
        self.drive.mkdir()
        self.media = {}
        self.shift = self.root / "shift.so"
        (self.root / "shift.c").write_text(SHIFT)
        compiled = subprocess.run(["cc", "-shared", "-fPIC", "-o", self.shift, self.root / "shift.c", "-ldl"], capture_output=True, text=True)
        self.can_shift = compiled.returncode == 0
        self.media_configuration()

    def media_configuration(self):
        self.configure(extra=f'[media]\nplaces = ["{self.drive}"]\n')

    def on_day(self, days):
        return {"LD_PRELOAD": str(self.shift), "VERBUND_TEST_DAYS": str(days)} if days else {}

    def take_out(self):
        while os.path.ismount(self.drive):
            subprocess.run(["umount", "-l", self.drive], check=True)

    def put_in(self, name):
        self.take_out()
        return self.media[name].put_in()

    def blank(self, name):
        self.media[name] = Medium(self.root / "media" / name, self.drive)
        return self.media[name]

    def new_medium(self, name, medium_class="daily"):
        self.blank(name)
        self.put_in(name)
        self.backup("media", "label", str(self.drive), "--name", name, "--class", medium_class).check()
        return self.media[name]

    def listed(self, name, days=0):
        return next(medium for medium in self.backup("media", "list", **self.on_day(days)).check().json()["media"] if medium["label"] == name)

    def night(self, days=0):
        return self.run("--verify", "L3", **self.on_day(days))

    def due(self, days=0):
        return self.backup("media", "next", "--nights", "1", **self.on_day(days)).check().json()["nights"][0]

    def ledger_file(self):
        return self.office.data / "backup" / "ledger.jsonl"

    def facts(self):
        return [json.loads(line)["entry"] for line in self.ledger_file().read_text(encoding="utf-8").splitlines()]

    def close(self):
        self.take_out()
        super().close()
        for medium in self.media.values():
            medium.gone()


class OnMedia(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        mounts_of_our_own()
        in_the_evening()

    def setUp(self):
        self.practice = MediaOffice()
        self.addCleanup(self.practice.close)

    def assert_refused(self, done, *words):
        self.assertEqual(done.code, 30, done.output + done.errors)
        for word in words:
            self.assertIn(word, done.output + done.errors)
        self.assertTrue(self.practice.service_runs())

    def need_shift(self):
        if not self.practice.can_shift:
            self.skipTest("no C compiler here: the clock can't be shifted")

    # -- the right one

    def test_the_medium_of_the_day_gets_the_set_and_the_ledger(self):
        practice = self.practice
        practice.new_medium("Monday")
        medium = practice.new_medium("Tuesday")
        done = practice.night()
        self.assertEqual(done.code, 0, done.output + done.errors)
        report = done.json()
        self.assertEqual((report["medium"], report["level"]), ("Tuesday", "L3"))
        self.assertIn("a copy, not a backup", report["copy_only"], "tmpfs is this machine's memory")
        self.assertEqual(medium.sets(), [report["set"]])
        self.assertEqual(medium.ledger().read_bytes(), practice.ledger_file().read_bytes())
        listed = practice.listed("Tuesday")
        self.assertEqual((listed["uses"], listed["drive"], listed["sets"][0]["set"]), (1, str(practice.drive), report["set"]))
        self.assertTrue(listed["sets"][0]["good"])
        self.assertIn("retained_until", listed)
        self.assertEqual(practice.listed("Monday")["uses"], 0)
        # Again in the same night: the same medium, both sets stay.
        again = practice.night()
        self.assertEqual((again.code, again.json()["medium"]), (0, "Tuesday"), again.output + again.errors)
        self.assertEqual(practice.backup("run", "--dry-run").check().json()["target"], str(practice.drive))

    def test_who_took_and_brought_a_medium_is_known(self):
        practice = self.practice
        practice.new_medium("Monday")
        practice.backup("media", "take", "Monday", "--by", "Frau Kern").check()
        listed = practice.listed("Monday")
        self.assertEqual((listed["place"], listed["moved_by"]), ("off-site", "Frau Kern"))
        practice.backup("media", "bring", listed["id"][:8], "--by", "Herr Lang").check()
        self.assertEqual((practice.listed("Monday")["place"], practice.listed("Monday")["moved_by"]), ("in-house", "Herr Lang"))
        german = practice.office.run("backup", "media", "list", LC_ALL="C.UTF-8", VERBUND_LANGUAGE="de", LANG="de_DE.UTF-8", LANGUAGE="de")
        self.assertIn("Monday", german.output)
        self.assertEqual(practice.due()["medium"], "Monday")

    # -- the wrong ones

    def test_wrong_media_are_refused_with_the_name_of_the_right_one(self):
        practice = self.practice
        practice.new_medium("Monday")
        practice.new_medium("Old")
        practice.backup("media", "retire", "Old", "--reason", "worn out").check()
        self.assert_refused(practice.night(), "Monday")
        self.assertEqual(practice.media["Old"].sets(), [])
        practice.blank("blank")
        practice.put_in("blank")
        self.assert_refused(practice.night(), "Monday")
        practice.take_out()
        self.assert_refused(practice.night(), "Monday")
        self.assertEqual(list(practice.drive.iterdir()), [], "nothing lands under the mount point")
        self.assertEqual([fact["outcome"] for fact in practice.facts() if "outcome" in fact], ["failed"] * 3, "each of these nights is known")
        self.assertEqual(practice.backup("media", "label", str(practice.drive), "--name", "x").code, 30, "nothing is mounted")
        practice.put_in("Monday")
        self.assertEqual(practice.night().code, 0)

    def test_a_medium_whose_time_is_not_over_is_refused_until_it_is(self):
        self.need_shift()
        practice = self.practice
        practice.new_medium("Monday")
        practice.new_medium("Tuesday")
        first = practice.night().json()
        self.assertEqual(first["medium"], "Tuesday")
        # A few days on (another working day, whatever day it is): Tuesday holds what is to be kept.
        self.assertEqual(practice.due(4)["medium"], "Monday")
        self.assert_refused(practice.night(4), "Monday", "Tuesday")
        self.assertEqual(practice.media["Tuesday"].sets(), [first["set"]])
        practice.put_in("Monday")
        second = practice.night(4)
        self.assertEqual(second.code, 0, second.output + second.errors)

    def test_another_installations_medium_is_refused_by_both(self):
        practice = self.practice
        other = Office().init()
        self.addCleanup(other.close)
        practice.new_medium("Monday")
        theirs = practice.blank("theirs")
        practice.put_in("theirs")
        other.run("backup", "media", "label", str(practice.drive), "--name", "Theirs").check()
        before = sorted(path.name for path in theirs.home.iterdir())
        self.assert_refused(practice.night(), "Monday")
        self.assertEqual(practice.backup("media", "label", str(practice.drive), "--name", "Mine").code, 4, "it has a label")
        self.assertNotEqual(practice.backup("media", "add", str(practice.drive)).code, 0)
        self.assertEqual(sorted(path.name for path in theirs.home.iterdir()), before, "nothing was written to it")

    # -- the medium goes, the medium is full

    def test_a_medium_that_goes_mid_run_is_noticed_and_nothing_lands_elsewhere(self):
        practice = self.practice
        medium = practice.new_medium("Monday")
        hold = practice.scripts / "hold"
        hold.touch()
        self.addCleanup(hold.unlink, missing_ok=True)
        (practice.scripts / "was-stopped").unlink(missing_ok=True)
        run = practice.office.command("--json", "backup", "run", "--verify", "L3")
        wait_for(lambda: (practice.scripts / "was-stopped").exists(), "the service is stopped")
        practice.take_out()
        hold.unlink()
        self.assertEqual(run.wait(), 30, f"{run.lines} {run.errors}")
        self.assertTrue(practice.service_runs())
        self.assertEqual(list(practice.drive.iterdir()), [], "nothing landed under the mount point")
        self.assertEqual(medium.sets(), [])
        ended = [fact for fact in practice.facts() if "outcome" in fact][-1]
        self.assertEqual((ended["outcome"], ended["medium"]), ("failed", ""))
        practice.put_in("Monday")
        self.assertEqual(practice.night().code, 0)

    def fill(self, medium, leave_mib):
        status = os.statvfs(medium.home)
        with open(medium.home / "ballast", "wb") as ballast:
            ballast.write(b"\0" * max(0, status.f_bavail * status.f_frsize - leave_mib * 1024 * 1024))

    def test_a_full_medium_fails_the_night_and_keeps_what_it_had(self):
        practice = self.practice
        medium = practice.new_medium("Monday")
        first = practice.night().json()
        self.fill(medium, 0)
        done = practice.night()
        self.assertEqual(done.code, 20, done.output + done.errors)
        self.assertEqual(medium.sets(), [first["set"]])
        self.assertTrue(practice.service_runs())
        self.assertEqual(practice.backup("verify", first["set"], "--target", str(practice.drive), "--level", "L1").code, 0)

    def test_room_is_made_by_what_has_had_its_time_and_by_nothing_else(self):
        self.need_shift()
        practice = self.practice
        media = {name: practice.new_medium(name) for name in ("A", "B", "C")}
        practice.put_in("A")
        old = practice.night().json()["set"]
        # Time passes as the ledger bears it out: somebody does something every second day.
        for days, name in ((2, "B"), (4, "C")):
            practice.put_in(name)
            self.assertEqual(practice.night(days).code, 0)
        for days in (6, 8, 10, 12):
            practice.backup("media", "take", "C", "--by", "x", **practice.on_day(days)).check()
            practice.backup("media", "bring", "C", "--by", "x", **practice.on_day(days)).check()
        self.assertNotIn("retained_until", practice.listed("A", 12))
        practice.put_in("A")
        self.fill(media["A"], 30)
        done = practice.night(12)
        self.assertEqual(done.code, 0, done.output + done.errors)
        self.assertEqual(done.json()["removed"], [old])
        self.assertEqual(media["A"].sets(), [done.json()["set"]])

    # -- the ledger

    def test_a_lost_or_damaged_ledger_comes_back_from_the_medium(self):
        practice = self.practice
        practice.new_medium("Monday")
        self.assertEqual(practice.night().code, 0)
        whole = practice.ledger_file().read_bytes()
        practice.ledger_file().write_bytes(whole.replace(b"Monday", b"Mondax"))
        refused = practice.backup("media", "list")
        self.assertEqual(refused.code, 40, refused.output)
        self.assertIn("media rebuild", refused.output + refused.errors)
        practice.backup("media", "rebuild").check()
        self.assertEqual(practice.ledger_file().read_bytes(), whole)
        practice.ledger_file().unlink()
        done = practice.night()
        self.assertEqual(done.code, 0, "a run rebuilds it itself: " + done.output + done.errors)
        self.assertIn("rebuilt", " ".join(done.json()["ledger"]))
        self.assertTrue(practice.ledger_file().read_bytes().startswith(whole))

    def test_older_newer_and_forked_ledgers_on_media(self):
        practice = self.practice
        backup_directory = practice.office.data / "backup"
        practice.new_medium("Monday")
        earlier = practice.root / "earlier"
        shutil.copytree(backup_directory, earlier)
        medium = practice.new_medium("Tuesday")
        practice.put_in("Monday")
        self.assertLess(practice.media["Monday"].ledger().stat().st_size, practice.ledger_file().stat().st_size)
        self.assertEqual(practice.night().code, 0, "the older one was brought up to date")
        self.assertEqual(practice.media["Monday"].ledger().read_bytes(), practice.ledger_file().read_bytes())
        newest = practice.ledger_file().read_bytes()
        # The machine is taken back to an earlier day: its ledger comes from the medium.
        for name in ("ledger.jsonl", "ledger.head"):
            shutil.copy(earlier / name, backup_directory / name)
        done = practice.night()
        self.assertEqual(done.code, 0, done.output + done.errors)
        self.assertIn("taken over", " ".join(done.json()["ledger"]))
        self.assertTrue(practice.ledger_file().read_bytes().startswith(newest))
        # … and goes on by itself before the medium is seen: two lives.
        for name in ("ledger.jsonl", "ledger.head"):
            shutil.copy(earlier / name, backup_directory / name)
        practice.backup("media", "take", "Monday", "--by", "x").check()
        forked = practice.night()
        self.assertEqual(forked.code, 0, forked.output + forked.errors)
        self.assertIn("two machines", " ".join(forked.json()["ledger"]))
        self.assertEqual(len(list(backup_directory.glob("ledger.fork-*"))), 1)
        self.assertEqual(len(list(practice.media["Monday"].home.glob("verbund-ledger.fork-*"))), 1)
        self.assertEqual(practice.listed("Tuesday")["class"], "daily", "what the other life knew is known")
        self.assertEqual(medium.sets(), [])

    # -- tape

    def test_a_tape_gets_the_set_that_stock_tar_reads(self):
        practice = self.practice
        tape = practice.root / "tape"
        tape.touch()
        practice.configure(extra=f'[media]\nplaces = ["{practice.drive}"]\ntape = "{tape}"\n')
        practice.backup("media", "label", str(tape), "--name", "Band 1").check()
        self.assertEqual(practice.backup("media", "label", str(tape), "--name", "Band 2").code, 4, "it has a label")
        done = practice.night()
        self.assertEqual(done.code, 0, done.output + done.errors)
        report = done.json()
        self.assertEqual((report["medium"], report["level"], report["copy_only"]), ("Band 1", "L3", ""))
        listing = subprocess.run(["tar", "-tf", tape], capture_output=True, text=True, check=True).stdout.splitlines()
        self.assertEqual(listing[0], "verbund-medium.json")
        self.assertIn(f"{report['set']}/SHA256SUMS.minisig", listing)
        restored = practice.root / "restored"
        restored.mkdir()
        subprocess.run(["tar", "-xf", tape, "-C", restored], check=True)
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=restored / report["set"], check=True)
        self.assertEqual(practice.listed("Band 1")["sets"][0]["set"], report["set"])
        # It holds one night, and keeps it.
        self.assert_refused(practice.night(), "Band 1")
        tape.unlink()
        self.assert_refused(practice.night())

    # -- without media

    def test_a_directory_is_a_copy_and_says_so(self):
        practice = self.practice
        practice.configure()
        done = practice.night()
        self.assertEqual(done.code, 0, done.output + done.errors)
        self.assertIn("a copy, not a backup", done.json()["copy_only"])
        self.assertEqual(done.json()["medium"], "")
        self.assertTrue(pathlib.Path(done.json()["path"]).parent.samefile(practice.target))
        self.assertEqual([fact["outcome"] for fact in practice.facts()], ["complete"])


if __name__ == "__main__":
    unittest.main()
