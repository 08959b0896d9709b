"""Production's folders follow to the mirror. T2.

Two machines on one, over loopback; the folder is one with umlauts, as an office has it.
"""
import os
import pathlib
import unittest

from office import Office, wait_for
from test_mirror import Mirror, invite, open_for_mirrors


class Folders(unittest.TestCase):
    """Given production's folder of letters, When a mirror follows, Then it has a copy of them that comes after every change, says how far it is,
    and never takes an empty folder for an order to delete."""

    def setUp(self):
        self.office = Office(demo=None)
        self.addCleanup(self.office.close)
        self.letters = self.office.directory / "Dokumente für Ärzte"
        self.letters.mkdir()
        self.write("Müller/Arztbrief ä.txt", "Sehr geehrte Frau Kollegin")
        os.symlink("/etc", self.letters / "verweis")
        open_for_mirrors(self.office, more=f'folders = ["{self.letters}"]').start()
        self.mirror = Mirror(self.office)
        self.addCleanup(self.mirror.close)
        self.mirror.join(invite(self.office)).check()
        self.mirror.start()

    def write(self, name, text):
        path = self.letters / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def folder(self):
        folders = self.mirror.status()["folders"]
        return folders[0] if folders else {}

    def copy(self, name=""):
        return self.mirror.data / "folders" / self.folder()["id"] / "tree" / name

    def copied(self, name, text):
        return wait_for(lambda: self.folder().get("id") and self.copy(name).is_file() and self.copy(name).read_text(encoding="utf-8") == text, f"{name} to be on the mirror")

    def test_they_are_copied_and_followed(self):
        self.copied("Müller/Arztbrief ä.txt", "Sehr geehrte Frau Kollegin")
        wait_for(lambda: self.folder()["age_ms"] is not None, "all of it to be there")
        folder = self.folder()
        self.assertEqual((folder["path"], folder["behind_files"], folder["skipped"], folder["error"]), (str(self.letters), "0", "1", ""))
        self.assertIn("verweis", folder["skipped_names"][0])
        self.assertFalse(os.path.lexists(self.copy("verweis")), "a link is not followed")
        shown = self.mirror.run("mirror", "status", LC_ALL="de_DE.UTF-8").check().output
        self.assertIn(f"Ordner {self.letters}", shown)
        self.assertIn("vollständig hier", shown)
        self.assertIn("verbund_mirror_folder_behind_files 0", self.mirror.get("/metrics")[1])
        # Changed, new, and large enough for several pieces.
        self.write("Müller/Arztbrief ä.txt", "Sehr geehrter Herr Kollege")
        large = "Befund " * 500_000
        self.write("Befunde/groß.txt", large)
        self.copied("Müller/Arztbrief ä.txt", "Sehr geehrter Herr Kollege")
        self.copied("Befunde/groß.txt", large)
        # Deleted: kept aside.
        (self.letters / "Befunde" / "groß.txt").unlink()
        wait_for(lambda: not self.copy("Befunde/groß.txt").exists(), "the deletion to follow")
        aside = list((self.mirror.data / "folders" / self.folder()["id"] / "before").glob("*/Befunde/groß.txt"))
        self.assertEqual(len(aside), 1)
        # Both nodes begin anew in between.
        self.office.stop()
        self.office.start()
        self.mirror.stop()
        self.write("neu.txt", "nach dem Neustart")
        self.mirror.start()
        self.copied("neu.txt", "nach dem Neustart")
        # The disk with the letters is not mounted.
        away = pathlib.Path(f"{self.letters} (weg)")
        self.letters.rename(away)
        self.letters.mkdir()
        wait_for(lambda: "nothing is deleted" in self.folder()["error"], "the mirror to refuse an empty folder")
        self.assertTrue(self.copy("neu.txt").exists())
        self.assertIn("nichts gelöscht", self.mirror.run("mirror", "status", LC_ALL="de_DE.UTF-8").check().output)
        self.letters.rmdir()
        wait_for(lambda: str(self.letters) in self.folder()["error"], "the mirror to say that there is no folder")
        self.assertTrue(self.copy("neu.txt").exists())
        away.rename(self.letters)
        wait_for(lambda: self.folder()["error"] == "", "all to be well again")

    def test_only_the_mirror_is_given_them(self):
        import json
        import ssl
        import urllib.error
        import urllib.request
        context = ssl.create_default_context(cafile=str(self.office.data / "tls" / "ca.crt"))
        for token in ("", "0" * 64, self.office.token):
            request = urllib.request.Request(f"https://localhost:{self.office.port}/api/mirror/folders", data=b"{}", method="POST", headers={"Authorization": f"Bearer {token}"})
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=20, context=context)
            self.assertEqual(refused.exception.code, 401)
        secret = (self.mirror.data / "secrets" / "pair").read_text().strip()

        def ask(body):
            request = urllib.request.Request(f"https://localhost:{self.office.port}/api/mirror/folders", data=json.dumps(body).encode(), method="POST",
                                             headers={"Authorization": f"Bearer {secret}"})
            try:
                with urllib.request.urlopen(request, timeout=20, context=context) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()
        status, body = ask({})
        self.assertEqual(status, 200)
        folder = json.loads(body)["folders"][0]["id"]
        entry = {"path": "../geheim", "directory": False, "bytes": "10", "modified_ns": 0, "changed_ns": 0, "mode": "384"}
        for path in ("../geheim", "/etc/passwd", "verweis/passwd", "", "a//b"):
            status, body = ask({"folder": folder, "entry": {**entry, "path": path}, "offset": "0"})
            self.assertIn(status, (400, 404), body)
            self.assertNotIn(b"root:", body)
        self.assertEqual(ask({"folder": "9-none", "after": ""})[0], 404)
        self.assertEqual(ask({"folder": folder})[0], 400)


if __name__ == "__main__":
    unittest.main()
