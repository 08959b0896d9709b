#!/usr/bin/env python3
"""parse_mail.py: a mail on standard input, what Python's parser makes of it as JSON on standard output."""
import email
import email.policy
import json
import sys

raw = sys.stdin.buffer.read()
mail = email.message_from_bytes(raw, policy=email.policy.default)
body = mail.get_body(("plain",))
json.dump({
    "from": str(mail["From"]), "subject": str(mail["Subject"]), "date": str(mail["Date"]), "message_id": str(mail["Message-ID"]),
    "to": [[each.display_name, each.addr_spec] for each in mail["To"].addresses],
    "text": body.get_content().replace("\r\n", "\n"),
    "attachments": [[part.get_filename(), part.get_content_type(), part.get_payload(decode=True).hex()] for part in mail.iter_attachments()],
    "defects": [repr(defect) for part in mail.walk() for defect in part.defects],
    "header_names": mail.keys(),
    "longest_line": max(len(line) for line in raw.split(b"\r\n")),
    "only_crlf": raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r"),
}, sys.stdout)
