"""The page in a real browser against a real node: web/e2e by Playwright in Debian's Chromium."""
import os
import shutil
import subprocess
import unittest

from office import PAGE_STAGE, Office


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for needed, why in ((shutil.which("npm"), "npm is missing"), (shutil.which("chromium"), "chromium is missing"),
                            ((PAGE_STAGE / "node_modules").is_dir(), f"the page was not built in {PAGE_STAGE.name}")):
            if not needed:
                raise unittest.SkipTest(why)
        # The page's own timing is what is tested here: the times of a real practice.
        cls.office = Office(properties={"heartbeat.ms": 5000, "suspect.ms": 10000, "lease.ms": 30000, "reconnect.ms": 35000}).start()

    @classmethod
    def tearDownClass(cls):
        cls.office.close()

    def rename_script(self):
        """What the scenarios call to change a record as another program would: psql."""
        data = self.office.data
        script = self.office.directory / "rename.sh"
        script.write_text("#!/bin/sh\nset -e\n"
                          'echo "UPDATE patient SET family_name = \'$VERBUND_NAME\' WHERE id = \'$VERBUND_ID\'" |\n'
                          f"PGPASSFILE={data}/pgpass psql -X -q -v ON_ERROR_STOP=1 -h {data}/postgres/run -U praxis praxis\n")
        script.chmod(0o755)
        return script

    def test_two_workstations_in_the_browser(self):
        environment = {**os.environ, "VERBUND_URL": f"http://127.0.0.1:{self.office.port}", "VERBUND_USER": "admin",
                       "VERBUND_PASSWORD": self.office.passwords["admin"], "VERBUND_RENAME": str(self.rename_script()),
                       "VERBUND_SHOTS": os.environ.get("VERBUND_SHOTS", str(self.office.directory / "shots"))}
        done = subprocess.run(["npm", "run", "--silent", "e2e"], cwd=PAGE_STAGE, env=environment, capture_output=True, text=True, timeout=500)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])


if __name__ == "__main__":
    unittest.main()
