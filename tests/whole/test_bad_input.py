"""Bad input: each gets a clear error, bounded cost, and hurts no other client (issue "Bad input")."""
import json
import socket
import time
import unittest

from office import Office, Workstation, wait_for


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.office = Office().start()
        cls.bystander = cls.office.workstation("Unbeteiligt").keep_alive()

    @classmethod
    def tearDownClass(cls):
        cls.bystander.close()
        cls.office.close()

    def tearDown(self):
        begun = time.monotonic()
        self.assertTrue(self.bystander.ask("locks", prefix="nothing/")["ok"])
        self.assertLess(time.monotonic() - begun, 5, "the bystander must not notice")

    def station(self, register=True):
        station = Workstation(self.office.port, record=False)
        if register:
            station.register(self.office, "Störer")
        return station

    def code_of(self, station, raw):
        """Error code of the answer to a raw line, which has no id of its own."""
        station.send_raw(raw + b"\n")
        with station.arrived:
            self.assertTrue(station.arrived.wait_for(lambda: None in station.replies, 30), raw[:100])
            return station.replies.pop(None)["error"]["code"]

    def test_malformed_lines(self):
        station = self.station()
        for raw, code in ((b"{", "bad_message"), (b"{\"op\":7}", "bad_message"), (b"{\"a\":1}", "bad_message"),
                          (b"{\"op\":\"dance\"}", "unknown_op"), (b"{\"op\":\"lock\",\"keys\":[\"no slash\"]}", "bad_key"),
                          (b"{\"op\":\"lock\",\"keys\":\"patient/1\"}", "bad_message"),
                          (b"{\"op\":\"tell\",\"to\":\"*\",\"text\":\"\xff\xfe\"}", "bad_utf8"),
                          (b"{\"op\":" + b"[" * 1000 + b"]" * 1000 + b"}", "too_deep")):
            self.assertEqual(self.code_of(station, raw), code, raw[:60])
        self.assertTrue(station.ask("lock", keys=["patient/after"])["ok"], "the connection lives on")
        station.close()

    def test_a_hundred_thousand_keys_in_one_request(self):
        station = self.station()
        keys = [f"patient/{n}" for n in range(100_000)]
        line = json.dumps({"op": "lock", "keys": keys}).encode()
        self.assertIn(self.code_of(station, line), ("too_large", "too_many_keys"))
        reply = station.ask("lock", keys=keys[:257])
        self.assertEqual(reply["error"]["code"], "too_many_keys")
        self.assertTrue(station.ask("lock", keys=keys[:256])["ok"])
        station.close()

    def test_an_oversized_line_is_skipped_and_the_connection_lives(self):
        station = self.station()
        self.assertEqual(self.code_of(station, b'{"op":"tell","to":"*","text":"' + b"x" * 3_000_000 + b'"}'), "too_large")
        self.assertTrue(station.ask("who")["ok"])
        station.close()

    def test_before_registration_only_registration_is_answered(self):
        station = self.station(register=False)
        self.assertEqual(self.code_of(station, b'{"op":"locks"}'), "not_registered")
        self.assertEqual(self.code_of(station, b'{"op":"register","workstation":"x","token":"' + b"0" * 64 + b'"}'), "unauthenticated")
        station.close()

    def test_wrong_passwords_are_rate_limited(self):
        station = self.station(register=False)
        codes = []
        for number in range(12):
            reply = station.ask("register", user="niemand", password=f"falsch {number}", workstation="x")
            codes.append(reply["error"]["code"])
            if codes[-1] == "rate_limited":
                self.assertGreater(reply["error"]["retry_after_ms"], 0)
                break
        self.assertEqual(set(codes[:5]), {"unauthenticated"})
        self.assertEqual(codes[-1], "rate_limited")
        station.close()

    def test_slow_loris_connections_do_not_hinder_others(self):
        lazy = []
        for _ in range(200):
            connection = socket.create_connection(("127.0.0.1", self.office.port))
            connection.sendall(b'{"op":"regis')
            lazy.append(connection)
        station = self.station()
        self.assertTrue(station.ask("who")["ok"])
        station.close()
        for connection in lazy:
            connection.close()

    def test_a_client_that_never_reads_is_cut_off_as_too_slow(self):
        deaf = socket.create_connection(("127.0.0.1", self.office.port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line = json.dumps({"op": "register", "workstation": "Taub", "token": self.office.token}) + "\n"
        deaf.sendall(line.encode())
        speaker = self.station()

        def present():
            return any(s["workstation"] == "Taub" and s["state"] == "active" for s in speaker.ask("who")["sessions"])

        wait_for(present, "the deaf one is registered")
        text = "ü" * 1900

        def flood():
            for _ in range(50):
                speaker.ask("tell", to="Taub", text=text)
            return not present()

        wait_for(flood, "the deaf one is cut off")
        speaker.close()
        deaf.close()

    def test_http_nonsense(self):
        for raw in (b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"):
            connection = socket.create_connection(("127.0.0.1", self.office.port), timeout=30)
            connection.sendall(raw)
            answer = connection.recv(100)
            self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 5"), answer)
            connection.close()


if __name__ == "__main__":
    unittest.main()
