"""Files of devices: care plans that come with the patients, photos that go to the office, a lost tablet, a dead server. D3, D12, T2."""
import os
import pathlib
import shutil
import signal
import unittest

from office import Office, wait_for
from test_mirror import Mirror, invite, open_for_mirrors, psql

RULES = """[[subscription]]
name = "patients"
table = "patient"
filter = "nurse = :user"
rights = ["read", "update"]

[[subscription]]
name = "Pflegepläne"
kind = "files"
folder = "plaene"
of = "patients"
names = ["*.pdf", "*.txt"]

[[subscription]]
name = "Fotos"
kind = "files"
direction = "up"
folder = "fotos"
path = ":user"

[[set]]
name = "tour"
subscriptions = ["patients", "Pflegepläne", "Fotos"]

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
TABLES = """
CREATE TABLE patient (id integer PRIMARY KEY, name text NOT NULL, nurse text NOT NULL);
INSERT INTO patient VALUES (1, 'Müller', 'anna'), (2, 'Groß', 'anna'), (3, 'Weiß', 'jörg');
"""
GERMAN = {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}


class OfficeWithFolders(unittest.TestCase):
    def folders(self):
        """The office's, and what verbund.toml says of them."""
        self.plans, self.photos = self.office.directory / "Pflegepläne", self.office.directory / "Fotos"
        for folder in (self.plans, self.photos):
            folder.mkdir()
        config = self.office.data / "config" / "verbund.toml"
        text = config.read_text(encoding="utf-8")
        self.assertIn("[sync.folders]\n", text)
        config.write_text(text.replace("[sync.folders]\n", f'[sync.folders]\nplaene = "{self.plans}"\nfotos = "{self.photos}"\n'), encoding="utf-8")

    def apply(self, rules=RULES):
        file = self.office.directory / "regeln.toml"
        file.write_text(rules, encoding="utf-8")
        return self.office.run("sync", "apply", str(file), **GERMAN)

    def tablet(self, user, name):
        file = self.office.directory / f"{name}.db"
        code = self.office.run("sync", "device", "invite", "--user", user, "--name", name).check().output.split()[0]
        self.device("init", file, "--server", f"127.0.0.1:{self.office.port}", "--code", code).check()
        self.device("sync", file).check()
        return file

    def device(self, verb, file, *words):
        return self.office.run("--json", "device", verb, "--db", str(file), *words)

    @staticmethod
    def of(file, folder):
        return pathlib.Path(f"{file}-files") / folder

    @staticmethod
    def texts(folder):
        return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*")) if path.is_file() and ".verbund" not in path.parts}

    @staticmethod
    def write(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


class Files(OfficeWithFolders):
    def setUp(self):
        self.office = Office(demo=None)
        self.addCleanup(self.office.close)
        self.office.init()
        self.folders()
        self.office.start()
        self.office.psql(TABLES)
        for number, name in ((1, "Müller"), (2, "Groß"), (3, "Weiß")):
            self.write(self.plans / str(number) / f"Pflegeplan {name}.txt", f"Plan von {name}")
        self.write(self.plans / "1" / "Rohdaten.bin", "nicht für Geräte")

    def test_plans_come_with_the_patients_and_photos_go_to_the_office(self):
        """Given nurses with patients, When plans change, patients change hands and photos are taken, Then each tablet has the plans of its own patients, and the office the photos."""
        self.apply().check()
        shown = self.office.run("sync", "subscription", "list", **GERMAN).check().output
        self.assertIn("fotos/:user", shown)
        self.assertIn("Dateien", shown)
        anna, joerg = self.tablet("anna", "Tablet Anna"), self.tablet("jörg", "Tablet Jörg")
        self.assertEqual(self.texts(self.of(anna, "Pflegepläne")), {"1/Pflegeplan Müller.txt": "Plan von Müller", "2/Pflegeplan Groß.txt": "Plan von Groß"})
        self.assertEqual(list(self.texts(self.of(joerg, "Pflegepläne"))), ["3/Pflegeplan Weiß.txt"])
        before = int(self.office.psql("SELECT csn FROM feed.position", database="verbund_mid"))
        self.office.psql("UPDATE patient SET nurse = 'jörg' WHERE id = 1")
        wait_for(lambda: int(self.office.psql("SELECT csn FROM feed.position", database="verbund_mid")) > before, "the feed")
        self.write(self.of(joerg, "Fotos") / "Müller" / "Wunde am Fuß.jpg", "Bild")
        self.device("sync", anna).check()
        synced = self.device("sync", joerg).check().json()
        self.assertEqual([session["upserted"] for session in synced["sessions"] if session["subscription"] == "Fotos"], [1])
        self.assertEqual(list(self.texts(self.of(anna, "Pflegepläne"))), ["2/Pflegeplan Groß.txt"])
        self.assertEqual(list(self.texts(self.of(joerg, "Pflegepläne"))), ["1/Pflegeplan Müller.txt", "3/Pflegeplan Weiß.txt"])
        self.assertEqual(self.texts(self.photos), {"jörg/Müller/Wunde am Fuß.jpg": "Bild"})
        status = self.office.run("device", "status", "--db", str(joerg), **GERMAN).check().output
        self.assertIn("ORDNER", status)
        self.assertIn("Tablet Jörg.db-files/Fotos", status)
        self.write(self.of(joerg, "Fotos") / "neu.jpg", "noch nicht oben")
        folders = self.device("status", joerg).check().json()["folders"]
        self.assertEqual([(folder["subscription"], folder["files"], folder["waiting"]) for folder in folders], [("Fotos", 1, 1), ("Pflegepläne", 2, 0)])

    def test_a_revoked_tablet_keeps_no_file(self):
        """Given a lost tablet, When the office revokes it and it calls, Then its files are gone with its tables."""
        self.apply().check()
        anna = self.tablet("anna", "Tablet Anna")
        self.assertTrue(self.texts(self.of(anna, "Pflegepläne")))
        self.office.run("sync", "device", "revoke", "1").check()
        self.assertNotEqual(self.device("sync", anna).code, 0)
        self.assertFalse(pathlib.Path(f"{anna}-files").exists())

    def test_rules_name_folders_that_are_there(self):
        """Given rules with a folder that the server does not know, or a path that leads out of it, When they are applied, Then they are refused with its name, in German."""
        refused = self.apply(RULES.replace('"fotos"', '"bilder"'))
        self.assertNotEqual(refused.code, 0)
        self.assertIn("nennt keinen Ordner »bilder«", refused.errors)
        refused = self.apply(RULES.replace('":user"', '"../:user"'))
        self.assertNotEqual(refused.code, 0)
        self.assertIn("führt nicht unter einen Ordner", refused.errors)


class Failover(OfficeWithFolders):
    def test_the_other_machine_has_the_folders(self):
        """Given a pair whose production dies, When the mirror takes over, Then devices get and bring files there as before, and what they had brought is there once."""
        self.office = open_for_mirrors(Office(demo=None))
        self.addCleanup(self.office.close)
        self.folders()
        self.office.start()
        psql(self.office, TABLES)
        self.apply().check()
        self.mirror = Mirror(self.office)
        self.addCleanup(self.mirror.close)
        self.mirror.join(invite(self.office)).check()
        there = {name: self.mirror.directory / name for name in ("plaene", "fotos")}
        with (self.mirror.data / "config" / "mirror.toml").open("a", encoding="utf-8") as config:
            config.write("\n[sync.folders]\n" + "".join(f'{name} = "{path}"\n' for name, path in there.items()))
        self.mirror.start()
        self.write(self.plans / "1" / "Plan.txt", "Plan")
        anna = self.tablet("anna", "Tablet Anna")
        self.write(self.of(anna, "Fotos") / "Wunde.jpg", "Bild")
        self.device("sync", anna).check()
        wait_for(lambda: there["fotos"].exists() and self.texts(there["fotos"]) == {"anna/Wunde.jpg": "Bild"} and self.texts(there["plaene"]) == {"1/Plan.txt": "Plan"}, "the folders on the mirror")
        wait_for(lambda: self.mirror.status()["streaming"], "the mirror to follow")
        postmaster = self.office.postmaster()
        os.kill(postmaster, signal.SIGKILL)
        self.office.kill()
        shutil.rmtree(self.plans)
        wait_for(lambda: not self.mirror.status()["pair"]["peer"]["alive"], "the mirror to miss production")
        report = self.mirror.run("--json", "mirror", "promote").check().json()
        self.mirror.run("--json", "mirror", "promote", "--accept-loss", report["token"]).check()
        self.write(there["plaene"] / "1" / "Plan 2.txt", "vom Spiegelserver")
        self.write(self.of(anna, "Fotos") / "Wunde 2.jpg", "nach dem Ausfall")
        wait_for(lambda: self.device("sync", anna).code == 0, "the device to sync with the new production", every=0.5)
        self.assertEqual(self.texts(self.of(anna, "Pflegepläne")), {"1/Plan 2.txt": "vom Spiegelserver", "1/Plan.txt": "Plan"})
        self.assertEqual(self.texts(there["fotos"]), {"anna/Wunde 2.jpg": "nach dem Ausfall", "anna/Wunde.jpg": "Bild"})


if __name__ == "__main__":
    unittest.main()
