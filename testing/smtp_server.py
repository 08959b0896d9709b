#!/usr/bin/env python3
"""smtp_server.py DIR [--tls starttls|tls] [--user NAME --password WORD]

A real SMTP server (aiosmtpd) for tests, on a free port of 127.0.0.1. Into DIR it writes `port` (once it listens), `ca.pem` (with
--tls) and each mail as NNN.eml, with the envelope's recipients in NNN.to. How it treats a mail is told by the local part of the recipient:
  refuse…  550 at RCPT    later…  451 at RCPT    full…  552 after the data    hang…  no answer to RCPT    die…  closes within the data
"""
import argparse
import asyncio
import pathlib
import ssl
import subprocess

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

HANG_SECONDS = 3600


class Office:
    def __init__(self, directory):
        self.directory = directory
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        local = address.split("@")[0]
        if local.startswith("refuse"):
            return "550 5.1.1 no such user here"
        if local.startswith("later"):
            return "451 4.7.1 greylisted, come again"
        if local.startswith("hang"):
            await asyncio.sleep(HANG_SECONDS)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        locals_ = [address.split("@")[0] for address in envelope.rcpt_tos]
        if any(local.startswith("full") for local in locals_):
            return "552 5.2.2 mailbox full"
        self.count += 1
        name = self.directory / f"{self.count:03}"
        name.with_suffix(".to").write_text("\n".join(envelope.rcpt_tos))
        partial = name.with_suffix(".part")
        partial.write_bytes(envelope.original_content)
        partial.rename(name.with_suffix(".eml"))
        return "250 taken"


class Server(SMTP):
    async def smtp_DATA(self, argument):
        if any(address.startswith("die") for address in self.envelope.rcpt_tos):
            await self.push("354 go on")
            await self._reader.read(10)
            self.transport.abort()
            return
        await super().smtp_DATA(argument)


def certificate(directory):
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=authority of a test")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "2",
            "-extfile", "names")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    return context


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--tls", choices=["starttls", "tls"])
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    context = certificate(given.directory) if given.tls else None

    def authenticate(server, session, envelope, mechanism, data):
        right = isinstance(data, LoginPassword) and data.login == given.user.encode() and data.password == given.password.encode()
        return AuthResult(success=right, handled=False)

    office = Office(given.directory)

    def make():
        return Server(office, hostname="mail.test", enable_SMTPUTF8=False, tls_context=context if given.tls == "starttls" else None,
                      require_starttls=given.tls == "starttls", authenticator=authenticate if given.user else None,
                      auth_required=bool(given.user), auth_require_tls=False)

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", given.port, ssl=context if given.tls == "tls" else None)
    partial = given.directory / "port.part"
    partial.write_text(str(server.sockets[0].getsockname()[1]))
    partial.rename(given.directory / "port")
    await server.serve_forever()


asyncio.run(main())
