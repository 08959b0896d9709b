"""Servers outside the house for tests: rclone's own WebDAV and SFTP on loopback, and a front door that counts, refuses and is cut."""
import http.client
import http.server
import os
import pathlib
import shutil
import socket
import subprocess
import threading

from office import Program, wait_for

USER, PASSWORD = "praxis", "streng-geheim-4711"


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def obscured(password):
    return subprocess.run(["rclone", "obscure", "-"], input=password, capture_output=True, text=True, check=True).stdout.strip()


class Server:
    """`rclone serve KIND` over a directory; the password in its environment, not in its arguments. It looks anew each time, because
    tests change the files behind its back."""

    def __init__(self, kind, home, *flags):
        self.kind, self.home, self.flags = kind, pathlib.Path(home), flags
        self.files = self.home / f"{kind}-files"
        self.files.mkdir(exist_ok=True)
        self.port = free_port()
        self.program = None

    def start(self):
        self.program = Program(["rclone", "serve", self.kind, "--addr", f"127.0.0.1:{self.port}", "--dir-cache-time", "1ms", *self.flags, str(self.files)],
                               {"RCLONE_USER": USER, "RCLONE_PASS": PASSWORD, "HOME": str(self.home), "XDG_CACHE_HOME": str(self.home)})
        wait_for(lambda: answers(self.port), f"rclone serve {self.kind}")
        return self

    def stop(self):
        if self.program and self.program.process.poll() is None:
            self.program.process.kill()
            self.program.wait()

    def section(self, name, password=PASSWORD, port=None):
        port = port or self.port
        where = f"type = sftp\nhost = 127.0.0.1\nport = {port}\nshell_type = none\n" if self.kind == "sftp" else f"type = webdav\nurl = http://127.0.0.1:{port}/\nvendor = other\n"
        return f"[{name}]\n{where}user = {USER}\npass = {obscured(password)}\n"


class Front:
    """Between rclone and a WebDAV server: counts what is sent, and behaves as a stricter provider does."""

    def __init__(self, behind):
        self.behind = behind
        self.append_only = False   # neither overwrites nor deletes
        self.room = None           # bytes that are still taken; then 507
        self.cut_after = None      # bytes of files; then every connection breaks
        self.lock = threading.Lock()
        self.sent = 0
        self.names = []
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_any(self):
                front.handle(self)

            do_GET = do_PUT = do_DELETE = do_PROPFIND = do_MKCOL = do_MOVE = do_HEAD = do_OPTIONS = handle_any

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that is killed or cut breaks its line

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def reset(self):
        self.append_only, self.room, self.cut_after, self.sent, self.names = False, None, None, 0, []

    @staticmethod
    def _pieces(request):
        """The body as it comes, of a known length or in chunks; None: it has ended too early."""
        chunked = request.headers.get("Transfer-Encoding", "").lower() == "chunked"
        left = 0 if chunked else int(request.headers.get("Content-Length") or 0)
        while True:
            if chunked:
                line = request.rfile.readline()
                if not line.strip():
                    yield None
                left = int(line.split(b";")[0], 16)
            last = not chunked or left == 0
            while left > 0:
                piece = request.rfile.read(min(left, 65536))
                if not piece:
                    yield None
                left -= len(piece)
                yield piece
            if chunked:
                request.rfile.readline()
            if last:
                return

    def _body(self, request):
        """What was sent; None: the line was cut meanwhile."""
        body = b""
        for piece in self._pieces(request):
            if piece is None:
                return None
            body += piece
            with self.lock:
                self.sent += len(piece) if request.command == "PUT" else 0
                if self.cut_after is not None and self.sent > self.cut_after:
                    return None
        return body

    def handle(self, request):
        exists = (self.behind.files / request.path.lstrip("/")).is_file()
        if self.cut_after is not None and self.sent > self.cut_after:
            request.close_connection = True
            return request.connection.shutdown(socket.SHUT_RDWR)
        body = self._body(request)
        if body is None:
            # As a server without transactions does it: what has come stays, half.
            if request.command == "PUT" and not exists:
                half = self.behind.files / request.path.lstrip("/")
                half.parent.mkdir(parents=True, exist_ok=True)
                half.write_bytes(b"half")
            request.close_connection = True
            return request.connection.shutdown(socket.SHUT_RDWR)
        if self.append_only and (request.command in ("DELETE", "MOVE") or (request.command == "PUT" and exists)):
            return self.answer(request, 403, b"refused")
        if self.room is not None and request.command == "PUT":
            self.room -= len(body)
            if self.room < 0:
                return self.answer(request, 507, b"full")
        if request.command == "PUT":
            self.names.append(request.path)
        behind = http.client.HTTPConnection("127.0.0.1", self.behind.port, timeout=60)
        try:
            headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection", "transfer-encoding", "content-length", "expect")}
            behind.request(request.command, request.path, body, headers)
            reply = behind.getresponse()
            return self.answer(request, reply.status, reply.read(), reply.getheaders())
        except OSError:
            request.close_connection = True
        finally:
            behind.close()

    @staticmethod
    def answer(request, status, body, headers=()):
        request.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)


def rclone_is_there():
    return shutil.which("rclone") is not None
