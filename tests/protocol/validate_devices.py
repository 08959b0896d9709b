#!/usr/bin/python3
"""validate_devices.py FILE: holds recorded calls of devices against docs/protocol/devices.schema.json.

A line is {"as": NAME, "message": {…}}, NAME one of the schema's $defs. Exit code: 0 all valid and every message of the protocol among them, 1 not.
"""
import json
import pathlib
import sys

from jsonschema import Draft202012Validator

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "docs" / "protocol" / "devices.schema.json"
PARTS = {"number", "name", "hash", "base64", "path", "layout", "file"}  # of other messages; a file is also an offer


def main(file):
    schema = json.loads(SCHEMA.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    validators = {name: Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]}) for name in schema["$defs"]}
    seen, faults = set(), 0
    for number, line in enumerate(pathlib.Path(file).read_text("utf-8").splitlines(), 1):
        said = json.loads(line)
        seen.add(said["as"])
        if said["as"] not in validators:
            print(f"{number}: there is no schema of '{said['as']}'", file=sys.stderr)
            faults += 1
            continue
        for error in validators[said["as"]].iter_errors(said["message"]):
            print(f"{number}: {said['as']}: {'.'.join(map(str, error.absolute_path))}: {error.message}", file=sys.stderr)
            faults += 1
    for name in sorted(set(validators) - PARTS - seen):
        print(f"'{name}' is documented and was not said", file=sys.stderr)
        faults += 1
    print(f"{len(seen)} kinds of messages, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
