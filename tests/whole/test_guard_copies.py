"""Dumps of a guarded database, made by the office itself, and copies of it on servers that know nothing of Verbund."""
import os
import subprocess
import unittest

from office import Office
from somebody_elses_server import BINARIES, SomebodyElsesServer


class GuardCopies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office(demo="synthetic").start()
        cls.office.run("guard", "enable", "patient", "--enforce").check()
        cls.patient = cls.office.a_patient()
        cls.station = cls.office.workstation("Empfang 1").keep_alive()
        cls.token = cls.station.ask("lock", keys=[f"patient/{cls.patient}"])["token"]
        cls.patients = cls.office.psql("SELECT count(*) FROM patient")

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def setUp(self):
        self.copy = SomebodyElsesServer(database="kopie", schema="SELECT 1")

    def tearDown(self):
        self.copy.close()

    def dump(self, *words):
        """By the role that owns the office's database, as its own backup would."""
        passfile = self.office.directory / "pass"
        passfile.write_text(f"*:*:*:*:{(self.office.data / 'secrets' / 'praxis').read_text().strip()}\n")
        passfile.chmod(0o600)
        done = subprocess.run([str(BINARIES / "pg_dump"), "-h", str(self.office.data / "postgres" / "run"), "-U", "praxis", "-d", "praxis", *words],
                              env={**os.environ, "PGPASSFILE": str(passfile)}, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def restore(self, dump, *words):
        done = subprocess.run([str(BINARIES / "pg_restore"), "-h", str(self.copy.directory), "-U", "postgres", "-d", "kopie", *words],
                              input=dump, capture_output=True, timeout=120)
        return done.returncode, done.stderr.decode()

    def psql(self, script):
        argv, environment = self.copy.psql("-v", "ON_ERROR_STOP=1", "-f", "-")
        done = subprocess.run(argv, env=environment, input=script, capture_output=True, timeout=120)
        return done.returncode, done.stderr.decode()

    def refused(self, statement):
        with self.assertRaisesRegex(AssertionError, "verbund guard: .* refused"):
            self.copy.sql(statement)

    def test_a_whole_dump_restores_without_errors_and_the_copy_says_how_to_free_it(self):
        self.assertEqual(self.restore(self.dump("-Fc"), "--no-owner", "--exit-on-error"), (0, ""))
        self.assertEqual(self.copy.sql("SELECT count(*) FROM patient"), self.patients)
        update = f"UPDATE patient SET given_name = 'kopiert' WHERE id = '{self.patient}'"
        with self.assertRaisesRegex(AssertionError, r"SELECT verbund_guard.disable\('patient'\)"):
            self.copy.sql(update)
        self.refused("TRUNCATE patient CASCADE")
        # Who held the lock when the dump was made has it in the copy, too; nobody else gets it there.
        self.copy.sql(f"BEGIN; SELECT verbund.use_lock({self.token}); {update}; COMMIT")
        self.copy.sql("SELECT verbund_guard.disable('patient')")
        self.copy.sql("UPDATE patient SET given_name = 'frei'; INSERT INTO patient (family_name) VALUES ('Neu'); TRUNCATE patient CASCADE")
        self.copy.sql("DROP SCHEMA verbund_guard CASCADE")
        self.assertEqual(self.copy.sql("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), "0")

    def test_a_plain_dump_of_inserts_restores_by_psql(self):
        self.assertEqual(self.psql(self.dump("--inserts", "--no-owner")), (0, ""))
        self.assertEqual(self.copy.sql("SELECT count(*) FROM patient"), self.patients)
        self.refused("DELETE FROM patient")
        self.copy.sql("DROP SCHEMA verbund_guard CASCADE; DELETE FROM patient")

    def test_data_alone_goes_into_a_guarded_copy_with_its_triggers_off(self):
        self.assertEqual(self.restore(self.dump("-Fc", "--schema-only"), "--no-owner", "--exit-on-error")[0], 0)
        self.copy.sql("INSERT INTO verbund_guard.guarded (type, mode) VALUES ('patient', 'enforce')")  # rows are data
        data = self.dump("-Fc", "--data-only", "-t", "patient", "-t", "patient_identifier")
        code, errors = self.restore(data, "--exit-on-error")
        self.assertEqual(code, 1)
        self.assertIn("verbund guard: INSERT on public.patient refused", errors)
        self.assertEqual(self.restore(data, "--disable-triggers", "--exit-on-error"), (0, ""))
        self.assertEqual(self.copy.sql("SELECT count(*) FROM patient"), self.patients)
        self.refused("DELETE FROM patient")

    def test_a_dump_of_the_offices_schema_alone_restores_unguarded(self):
        code, errors = self.restore(self.dump("-Fc", "-n", "public"), "--no-owner", "--clean", "--if-exists")
        self.assertEqual(code, 1)
        for line in errors.splitlines():
            if "ERROR" in line:
                self.assertIn('schema "verbund_guard" does not exist', line)
        self.copy.sql("UPDATE patient SET given_name = 'frei'")
        self.assertEqual(self.copy.sql("SELECT count(*) FROM patient"), self.patients)


if __name__ == "__main__":
    unittest.main()
