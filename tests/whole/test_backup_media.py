"""Media: pulled out while a run writes to them; of file systems that know no modes, links, or large files. In mount namespaces of their own."""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from office import BINARY, Program, wait_for
from practice import Practice


class Namespace:
    """A process that holds a mount namespace: what is mounted in it goes with it."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; exec sleep 100000"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            self.holder.wait()
            raise unittest.SkipTest(f"a mount namespace can't be made here: {self.holder.stderr.read().strip()}")

    def argv(self, *words):
        return ["nsenter", "--target", str(self.holder.pid), "--mount", "--", *map(str, words)]

    def run(self, *words):
        return subprocess.run(self.argv(*words), capture_output=True, text=True, timeout=120, env={**os.environ, "LC_ALL": "C.UTF-8"})

    def close(self):
        self.holder.kill()
        self.holder.communicate()


class Media(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.practice = Practice()
        # More than one buffer's worth, so that a run is still writing when its medium goes.
        (cls.practice.application / "database" / "large.db").write_bytes(os.urandom(6_000_000))

    @classmethod
    def tearDownClass(cls):
        cls.practice.close()

    def setUp(self):
        self.namespace = Namespace()
        self.addCleanup(self.namespace.close)
        self.point = self.practice.root / "usb"
        self.point.mkdir()
        self.addCleanup(shutil.rmtree, self.point)
        (self.practice.scripts / "hold").unlink(missing_ok=True)
        self.practice.start_service()

    def mount(self, *words):
        """A test that can't have its file system says why, and is counted as skipped."""
        done = self.namespace.run("mount", *words, self.point)
        if done.returncode != 0:
            self.skipTest(f"mount {' '.join(map(str, words))}: {done.stderr.strip().splitlines()[0]}")

    def image(self, *make):
        """A file that holds a file system."""
        if shutil.which(make[0], path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
            self.skipTest(f"{make[0]} is not installed")
        path = self.practice.root / "medium.img"
        with open(path, "wb") as file:
            file.truncate(160 * 1024 * 1024)
        self.addCleanup(path.unlink)
        done = subprocess.run([*make, str(path)], capture_output=True, text=True, env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return path

    def verbund(self, *words):
        return [BINARY, "--dir", str(self.practice.office.data), *words]

    def backup(self, *words):
        return self.namespace.run(*self.verbund("--json", "backup", *words))

    # -- pulled out

    def pulled_out_at(self, step, hold):
        if hold:
            (self.practice.scripts / "hold").touch()
        program = Program(self.namespace.argv(*self.verbund("backup", "run", "--target", str(self.point), "--verify", "L3")))
        self.addCleanup(lambda: program.process.poll() is None and program.process.kill())
        program.line(lambda line: line.startswith(step), errors=True)
        if hold:
            wait_for(lambda: (self.practice.scripts / "was-stopped").exists(), "the service is stopped")
        self.assertEqual(self.namespace.run("umount", "-l", self.point).returncode, 0)
        (self.practice.scripts / "hold").unlink(missing_ok=True)
        code = program.wait()
        self.assertTrue(self.practice.service_runs(), "the service was left down")
        return code, "\n".join(program.errors)

    def assert_nothing_was_left(self):
        """Neither under the mount point, nor a set that counts on the medium."""
        self.assertEqual(self.namespace.run("ls", "-A", self.point).stdout, "")

    def test_a_medium_unmounted_before_the_copy(self):
        self.mount("-t", "tmpfs", "-o", "size=100m", "verbund-medium")
        (self.practice.scripts / "was-stopped").unlink(missing_ok=True)
        code, errors = self.pulled_out_at("stopping practice", hold=True)
        self.assertEqual(code, 30, errors)
        self.assertIn("no longer there", errors)
        self.assert_nothing_was_left()

    def test_a_medium_unmounted_at_each_later_step(self):
        for step in ("taking one snapshot", "copying", "starting practice", "publishing", "verifying"):
            with self.subTest(step=step):
                self.mount("-t", "tmpfs", "-o", "size=100m", "verbund-medium")
                code, errors = self.pulled_out_at(step, hold=False)
                # Once it is published a set exists, on a medium that is away.
                self.assertIn(code, (30, 40) if step in ("publishing", "verifying") else (30,), errors)
                self.assert_nothing_was_left()

    def test_what_was_on_it_when_it_was_pulled_out_is_no_set(self):
        image = self.image("mkfs.ext4", "-q", "-F")
        self.mount("-t", "ext4", "-o", "loop", image)
        self.assertIn(self.pulled_out_at("copying", hold=False)[0], (30,))
        wait_for(lambda: str(image) not in subprocess.run(["losetup", "-j", str(image)], capture_output=True, text=True).stdout, "the device is free again")
        self.mount("-t", "ext4", "-o", "loop", image)
        self.assertEqual(json.loads(self.backup("list", "--target", str(self.point)).stdout)["sets"], [])
        done = self.backup("run", "--target", str(self.point), "--verify", "L3")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        left = [name for name in self.namespace.run("ls", "-A", self.point).stdout.split() if name.endswith(".partial")]
        self.assertEqual(left, [], "the next run takes away what the interrupted one left")

    # -- file systems of other worlds

    def a_set_lives_on(self, *mount):
        self.mount(*mount)
        done = self.backup("run", "--target", str(self.point), "--verify", "L3")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["outcome"], report["level"]), ("complete", "L3"))
        # Away and in again: read by us, and by a stranger.
        self.assertEqual(self.namespace.run("umount", self.point).returncode, 0)
        self.mount(*mount)
        verified = self.backup("verify", report["path"], "--level", "L3")
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        summed = self.namespace.run("sh", "-c", f"cd '{report['path']}' && sha256sum --quiet -c SHA256SUMS")
        self.assertEqual((summed.returncode, summed.stdout), (0, ""), summed.stderr)
        into = self.practice.root / "from-medium"
        restored = self.backup("restore", "--set", report["path"], "--into", str(into), "--yes")
        self.assertEqual(restored.returncode, 0, restored.stdout + restored.stderr)
        there = into / "folders" / str(self.practice.application).lstrip("/")
        self.assertEqual((there / "database/orant.db").read_bytes(), (self.practice.application / "database/orant.db").read_bytes())
        shutil.rmtree(into)
        listed = json.loads(self.backup("list", "--target", str(self.point)).stdout)["sets"]
        self.assertEqual([entry["level"] for entry in listed], ["L3"])
        # A second one beside it, and the first one pruned.
        self.assertEqual(self.backup("run", "--target", str(self.point), "--verify", "L3").returncode, 0)
        pruned = self.backup("prune", "--target", str(self.point), "--keep", "1")
        self.assertEqual(pruned.returncode, 0, pruned.stdout + pruned.stderr)
        self.assertEqual(json.loads(pruned.stdout)["removed"], [report["set"]])

    def test_a_set_lives_on_fat32(self):
        self.a_set_lives_on("-t", "vfat", "-o", "loop", self.image("mkfs.vfat", "-F", "32"))

    def test_a_set_lives_on_exfat(self):
        image = self.image("mkfs.exfat")
        kinds = pathlib.Path("/proc/filesystems").read_text().split()
        self.a_set_lives_on("-t", "exfat" if "exfat" in kinds else "exfat-fuse", "-o", "loop", image)

    def test_a_set_lives_on_ntfs(self):
        image = self.image("mkntfs", "-q", "-F", "-f")
        kinds = pathlib.Path("/proc/filesystems").read_text().split()
        self.a_set_lives_on("-t", "ntfs3" if "ntfs3" in kinds else "ntfs-3g", "-o", "loop", image)

    def test_a_set_lives_on_ext4(self):
        self.a_set_lives_on("-t", "ext4", "-o", "loop", self.image("mkfs.ext4", "-q", "-F"))


if __name__ == "__main__":
    unittest.main()
