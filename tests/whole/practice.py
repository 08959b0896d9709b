"""An office with an application, its folder and its service, and a medium: what tests of the backup work on."""
import os
import subprocess

from office import Office

NOON = 1_700_000_000_123_456_789  # of a file: nanoseconds survive


class Practice:
    """An office with one application: a folder tree and a service that is a process with a pid file."""

    def __init__(self):
        self.office = Office().start()
        self.root = self.office.directory
        self.application = self.root / "opt" / "practice"
        self.target = self.root / "medium"
        self.target.mkdir()
        for name, text in {"VERSION": "7.2\n", "bin/program": "program\n", "database/orant.db": "rows\n" * 1000, "log/today.log": "noise\n",
                           "umlaut-Müller.txt": "x\n"}.items():
            path = self.application / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            os.utime(path, ns=(NOON, NOON))
        os.symlink("bin/program", self.application / "link")
        os.link(self.application / "bin" / "program", self.application / "bin" / "hard")
        self._scripts()
        self.configure()
        self.start_service()

    def _scripts(self):
        """`hold` beside the scripts makes stop and start wait: a test does something meanwhile."""
        self.scripts = self.root / "scripts"
        self.scripts.mkdir()
        pid, hold = self.scripts / "pid", self.scripts / "hold"
        script = {"start": f'[ -e {pid} ] && kill -0 $(cat {pid}) 2>/dev/null && exit 0\n[ -e {self.scripts}/broken ] && exit 1\n'
                           f'setsid sleep 100000 </dev/null >/dev/null 2>&1 &\necho $! > {pid}\n',
                  "stop": f'[ -e {pid} ] && kill $(cat {pid}) 2>/dev/null\nrm -f {pid}\ntouch {self.scripts}/was-stopped\n'
                          f'while [ -e {hold} ]; do sleep 0.05; done\n',
                  "running": f'[ -e {pid} ] && kill -0 $(cat {pid}) 2>/dev/null\n'}
        for name, text in script.items():
            (self.scripts / name).write_text("#!/bin/sh\n" + text)
            (self.scripts / name).chmod(0o755)

    def configure(self, extra="", save="", level="L3", keep=1, plan='scheduler = "off"'):
        """Runs are the tests' own: the node makes none, but in the tests of the nights."""
        (self.office.data / "config" / "backup.toml").write_text(f"""
[backup]
target = "{self.target}"
verify = "{level}"
keep = {keep}
[plan]
{plan}
[[application]]
name = "practice"
version_file = "{self.application}/VERSION"
stop = ["{self.scripts}/stop"]
start = ["{self.scripts}/start"]
running = ["{self.scripts}/running"]
  [[application.folder]]
  root = "{self.application}"
  leave_out = ["log/**"]
  {save}
  restore = ["bin", "database"]
  restore_optional = ["local.ini"]
{extra}
""", encoding="utf-8")

    def start_service(self):
        subprocess.run([self.scripts / "start"], check=True)

    def service_runs(self):
        return subprocess.run([self.scripts / "running"]).returncode == 0

    def backup(self, *words, **environment):
        return self.office.run("--json", "backup", *words, **environment)

    def run(self, *words, **environment):
        return self.backup("run", *words, **environment)

    def sets(self):
        return self.backup("list").check().json()["sets"]

    def close(self):
        subprocess.run([self.scripts / "stop"], check=False)
        self.office.close()
