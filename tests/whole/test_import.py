"""Import from the command line: GDT strict and lenient, CSV with a mapping, dry run. Issue 3, 7."""
import json
import unittest

from office import Office


def line(field):
    return f"{len(field.encode('cp437')) + 5:03}{field}\r\n"


def record(*fields):
    total = sum(len(line(field).encode("cp437")) for field in fields) + 14
    return line(fields[0]) + line(f"8100{total:05}") + "".join(line(field) for field in fields[1:])


PATIENT = record("80006301", "92062", "921802.10", "30004711", "3101Größmann", "3102Jörg", "310301101945", "31101")
RESULT = record("80006310", "92062", "921802.10", "30004711", "8402SPIRO01", "620003062024", "6201101500", "8410FEV1", "84203,15", "8421l")

MAPPING = """
[csv]
charset = "windows-1252"
date = "DD.MM.YYYY"
[target]
table = "patient"
match = ["family_name", "given_name"]
[[column]]
field = "family_name"
from = "Nachname"
required = true
[[column]]
field = "given_name"
from = "Vorname"
[[column]]
field = "birth_date"
from = "geb."
[[column]]
field = "birth_date_precision"
value = "day"
"""


class Import(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def file(self, name, text, charset="cp437"):
        path = self.office.directory / name
        path.write_bytes(text.encode(charset))
        return str(path)

    def test_a_device_file_is_refused_with_its_line_and_read_leniently(self):
        path = self.file("PRAXSPI1.001", PATIENT + RESULT.replace("0108421l", "0998421l"))
        refused = self.office.run("import", path, LC_ALL="de_DE.UTF-8", LANG="de_DE.UTF-8")
        self.assertEqual(refused.code, 10, refused.output + refused.errors)
        self.assertIn("als Länge ist 099 angegeben, sie hat aber 10 Bytes", refused.output)
        self.assertIn("--lenient", refused.output)
        self.assertEqual(self.office.psql("SELECT count(*) FROM patient WHERE family_name = 'Größmann'"), "0")

        trial = json.loads(self.office.run("--json", "import", "--lenient", "--dry-run", path).check().output)
        self.assertEqual((trial["dry_run"], trial["imported"]), (True, 2))
        self.assertEqual(self.office.psql("SELECT count(*) FROM patient WHERE family_name = 'Größmann'"), "0")

        station = self.office.workstation("Empfang 1")
        taken = json.loads(self.office.run("--json", "import", "--lenient", path).check().output)
        self.assertEqual(taken["imported"], 2)
        self.assertEqual(taken["warnings"][0]["count"], 1)
        self.assertEqual(self.office.psql("SELECT p.given_name || o.value_number || o.unit FROM observation o JOIN patient p "
                                          "ON p.id = o.patient_id WHERE o.code = 'FEV1'"), "Jörg3.15l")
        event = station.event("changes", lambda e: e.get("changes"))
        self.assertTrue(event["changes"][0]["key"].startswith("patient/"))
        station.close()

    def test_csv_goes_where_the_mapping_says(self):
        mapping = self.file("kartei.toml", MAPPING, "utf-8")
        path = self.file("kartei.csv", "Nachname;Vorname;geb.\r\nÜberschär;Zoë;31.12.1974\r\n;ohne Namen;\r\n", "windows-1252")
        done = self.office.run("--json", "import", "--mapping", mapping, path)
        self.assertEqual(done.code, 10, done.errors)
        report = json.loads(done.output)
        self.assertEqual(report["types"]["public.patient"]["imported"], 1)
        self.assertEqual(report["file_problems"], [{"file": f"{path}: line 3", "cause": "Nachname: is required and empty"}])
        self.assertEqual(self.office.psql("SELECT given_name || birth_date FROM patient WHERE family_name = 'Überschär'"), "Zoë1974-12-31")
        again = json.loads(self.office.run("--json", "import", "--mapping", mapping, path).output)
        self.assertEqual(again["types"]["public.patient"]["unchanged"], 1)

    def test_words_that_do_not_go_together_are_refused(self):
        for words in (("--mapping", "m.toml", "--match", "name", "x.csv"), ("--lenient", "--strict", "x.gdt"), ("--charset", "ebcdic", "x.gdt"),
                      ("--synthetic", "5", "--dry-run")):
            self.assertEqual(self.office.run("import", *words).code, 2, words)


if __name__ == "__main__":
    unittest.main()
