"""Debian's CUPS with one raw queue, run as an unprivileged user in a scratch directory; what is printed arrives at a socket of ours."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading

from office import wait_for

CUPSD, LPADMIN = "/usr/sbin/cupsd", "/usr/sbin/lpadmin"


def why_not():
    """None: CUPS can be run here."""
    missing = [name for name in (CUPSD, LPADMIN, "/usr/lib/cups/backend/socket") if not os.path.exists(name)]
    if missing or not shutil.which("lp"):
        return f"Debian's cups is not installed: {missing or 'lp'}"
    return None


class CupsServer:
    QUEUE = "Empfang"

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="verbund-cups-"))
        self.user = "postgres" if os.geteuid() == 0 else None
        for name in ("root", "spool", "cache", "state", "log", "tmp"):
            (self.directory / name).mkdir()
        self.socket = self.directory / "socket"
        self._configure()
        if self.user:
            for path in [self.directory, *self.directory.rglob("*")]:
                shutil.chown(path, self.user, self.user)
        self.directory.chmod(0o755)
        self.printed = []
        self.printer = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._print, daemon=True).start()
        self.cupsd = subprocess.Popen([CUPSD, "-f", "-c", self.directory / "root" / "cupsd.conf", "-s", self.directory / "root" / "cups-files.conf"],
                                      user=self.user, group=self.user, extra_groups=[] if self.user else None, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.socket.exists, "CUPS listens")
        self.environment = {"CUPS_SERVER": str(self.socket)}
        address = f"socket://127.0.0.1:{self.printer.getsockname()[1]}"
        done = subprocess.run([LPADMIN, "-p", self.QUEUE, "-E", "-v", address, "-m", "raw"], env={**os.environ, **self.environment}, capture_output=True, text=True,
                              timeout=60, user=self.user)
        assert done.returncode == 0, done.stderr

    def _configure(self):
        group = self.user or "nogroup"
        (self.directory / "root" / "cupsd.conf").write_text(
            f"Listen {self.socket}\nBrowsing No\n" + "".join(f"<Location {path}>\n  Order allow,deny\n  Allow all\n</Location>\n" for path in ("/", "/admin"))
            + "<Policy default>\n  <Limit All>\n    Order deny,allow\n  </Limit>\n</Policy>\n")
        owner = f"User {self.user}\nGroup {group}\nSystemGroup {group}\n" if self.user else ""
        places = {"ServerRoot": "root", "RequestRoot": "spool", "CacheDir": "cache", "StateDir": "state", "TempDir": "tmp", "AccessLog": "log/access",
                  "ErrorLog": "log/error", "PageLog": "log/page"}
        (self.directory / "root" / "cups-files.conf").write_text(owner + "".join(f"{key} {self.directory}/{name}\n" for key, name in places.items()))

    def _print(self):
        while True:
            try:
                connection, _ = self.printer.accept()
            except OSError:
                return
            with connection:
                content = b""
                while block := connection.recv(65536):
                    content += block
            self.printed.append(content)

    def close(self):
        self.cupsd.terminate()
        self.cupsd.wait(timeout=30)
        self.printer.close()
        shutil.rmtree(self.directory, ignore_errors=True)
