#!/usr/bin/env python3
"""record_corpus.py OUT: plays a varied office through a relay and leaves what went over the wire as seeds for the fuzz targets.

OUT/decode_request and decode_server get the lines of either side; OUT/first_bytes, frame_reader and http_codec the bytes of
whole connections, each after the one byte by which that target chooses how to cut. What reaches new code is then taken into
the repository by `tools/fuzz --merge TARGET OUT/NAME`. Needs a built binary and page (as tests/whole does).
"""
import hashlib
import http.client
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "whole"))
from office import BINARY, Office, PAGE_STAGE, Workstation  # noqa: E402
from test_join import RecordedTraffic, WEBSOCKET_CLIENT  # noqa: E402

# Of an office that is gone, but whoever reads the repository can't know that: tokens, secrets, session cookies.
SECRET = re.compile(rb"[0-9a-f]{64}")
MAX_SEED_BYTES = 16 * 1024
PIECE = {"up": bytes([7]), "down": bytes([6])}  # odd: frame_reader reads as a node does


class Relay:
    """Stands between programs and the node and keeps each connection's bytes by direction."""

    def __init__(self, port):
        self.target = port
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            kept = {"up": bytearray(), "down": bytearray()}
            self.connections.append(kept)
            for source, sink, direction in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self._pump, args=(source, sink, kept[direction]), daemon=True).start()

    @staticmethod
    def _pump(source, sink, kept):
        try:
            while chunk := source.recv(65536):
                kept += chunk
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):  # close() alone would wait for the other thread's recv
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class Seeds:
    def __init__(self, root, password):
        self.root = pathlib.Path(root)
        self.password = password.encode()

    def add(self, target, content):
        content = SECRET.sub(b"0" * 64, bytes(content[:MAX_SEED_BYTES]).replace(self.password, b"x" * len(self.password)))
        folder = self.root / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(content).hexdigest()[:12]).write_bytes(content)

    def lines(self, direction, content):
        for line in content.split(b"\n"):
            if line.strip():
                self.add("decode_request" if direction == "up" else "decode_server", line)

    def connection(self, kept):
        for direction, content in kept.items():
            if kept["up"][:1] == b"{":
                self.lines(direction, bytes(content))
                self.add("first_bytes", PIECE[direction] + content)
                continue
            if kept["up"][:1] == b"\x16":
                continue  # TLS: nobody but OpenSSL parses it
            upgraded = b"upgrade: websocket" in bytes(kept["up"]).lower()
            head, mark, rest = bytes(content).partition(b"\r\n\r\n")
            self.add("http_codec", PIECE[direction] + (head + mark if upgraded else content))
            if upgraded and rest:
                self.add("frame_reader", PIECE[direction] + rest)
                for payload in payloads(rest):
                    self.lines(direction, payload)


def payloads(stream):
    """The texts of whole, unfragmented WebSocket frames."""
    while len(stream) >= 2:
        masked, size, at = stream[1] & 0x80, stream[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(stream[2:2 + width], "big"), 2 + width
        mask = stream[at:at + 4] if masked else b"\0\0\0\0"
        at += 4 if masked else 0
        body = bytes(byte ^ mask[n % 4] for n, byte in enumerate(stream[at:at + size]))
        if stream[0] & 0x0F == 1:
            yield body
        stream = stream[at + size:]


def with_http(office):
    port = office.port
    for method, path, body, headers in (
            ("GET", "/", None, {"Accept-Encoding": "gzip, br"}), ("HEAD", "/", None, {}), ("GET", "/healthz", None, {}),
            ("GET", "/metrics", None, {}), ("GET", "/ca.crt", None, {"Connection": "close"}), ("GET", "/nothing?a=%C3%A4&b=+", None, {}),
            ("POST", "/api/login", json.dumps({"user": "admin", "password": office.passwords["admin"]}), {"Content-Type": "application/json"}),
            ("POST", "/api/login", iter([b'{"user":', b'"x"}']), {"Transfer-Encoding": "chunked"}), ("DELETE", "/api/records/none/1", None, {"Cookie": "verbund=0; a=b"})):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, body=body, headers=headers, encode_chunked="Transfer-Encoding" in headers)
        connection.getresponse().read()
        connection.close()


def with_websocket(office, key):
    node = shutil.which("node")
    if not node or not (PAGE_STAGE / "node_modules" / "ws").is_dir():
        sys.exit("record_corpus: Node.js and the built page are needed for WebSocket frames")
    client = subprocess.Popen([node, "-e", WEBSOCKET_CLIENT, f"ws://127.0.0.1:{office.port}/ws", "", office.token, key],
                              cwd=PAGE_STAGE, stdout=subprocess.PIPE)
    try:
        for line in client.stdout:
            if b'"token"' in line or b'"grant' in line:
                office.psql("UPDATE patient SET given_name = 'Webse'")
                break
        client.communicate(timeout=30)
    finally:
        client.kill()
        client.wait()


def with_bad_lines(office):
    station = Workstation(office.port, record=False)
    for raw in (b"{", b'{"op":7}', b'{"op":"dance","id":1}', b'{"op":"lock","keys":["no slash"]}', b'{"op":"tell","to":"*","text":"\xff"}',
                b'{"op":"locks","id":null}', b'{"op":' + b"[" * 40 + b"]" * 40 + b"}", b"x" * 200):
        station.send_raw(raw + b"\r\n")
    with station.arrived:
        station.arrived.wait_for(lambda: station.closed, 1)
    station.close()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    office = Office().start()
    try:
        relay = Relay(office.port)
        office.port = relay.port
        RecordedTraffic().scenario(office)
        key = f"patient/{office.a_patient()}"
        with_http(office)
        with_websocket(office, key)
        with_bad_lines(office)
    finally:
        office.close()
    seeds = Seeds(sys.argv[1], office.passwords["admin"])
    for kept in relay.connections:
        seeds.connection(kept)
    for folder in sorted(seeds.root.iterdir()):
        print(f"{folder}: {len(list(folder.iterdir()))} seeds of {BINARY}")


if __name__ == "__main__":
    main()
