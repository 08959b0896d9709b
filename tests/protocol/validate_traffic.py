#!/usr/bin/python3
"""validate_traffic.py FILE…: holds recorded messages against docs/protocol/schema.

A line "> {…}" went to the node, "< {…}" came from it; empty lines and "# …" are skipped. Connections may be mixed as long
as a reply's id tells its request: an id that several requests used makes each of their replies good.

Receivers ignore unknown fields, so the schemas allow them. Our own traffic must not hold fields that nobody has
documented: every object is closed here, unless its schema says additionalProperties.

Exit code: 0 all valid, 1 a line is not (the first per file is shown with its number), 2 wrong words.
--from-node skips requests (recordings of deliberately malformed ones).
"""
import json
import pathlib
import sys

from jsonschema import Draft202012Validator

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "protocol" / "schema"
COMMON = "common.json#/$defs/"


def closed(schema):
    """The same schema with local references and without undocumented fields."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for name, value in schema.items():
        if name == "$ref":
            result[name] = value.replace(COMMON, "#/$defs/")
        elif name in ("if", "then", "const", "enum"):
            result[name] = value  # conditions speak of some fields only
        else:
            result[name] = closed(value)
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        result.setdefault("additionalProperties", False)
    return result


class Schemas:
    def __init__(self, folder=SCHEMAS):
        self.raw = {path.stem if path.name.count(".") == 1 else path.name[: -len(".json")]: json.loads(path.read_text("utf-8"))
                    for path in sorted(folder.glob("*.json"))}
        common = closed(self.raw["common"]["$defs"])
        self.validators = {}
        for name, schema in self.raw.items():
            Draft202012Validator.check_schema(schema)
            if name != "common":
                self.validators[name] = Draft202012Validator({**closed(schema), "$defs": common})

    def complaints(self, name, message):
        """What is wrong with `message` as a `name`; empty: nothing."""
        validator = self.validators.get(name)
        if validator is None:
            return f"there is no schema '{name}.json'"
        errors = sorted(validator.iter_errors(message), key=lambda error: [str(part) for part in error.absolute_path])
        return "; ".join(f"{'.'.join(str(part) for part in error.absolute_path) or 'message'}: {error.message}" for error in errors[:5])


class Recording:
    """The messages of one file, in order; remembers which operations an id was used for."""

    def __init__(self, schemas, check_requests=True):
        self.schemas = schemas
        self.check_requests = check_requests
        self.operations = {}
        self.count = 0

    def complaint(self, line):
        line = line.rstrip("\r\n")
        if not line or line.startswith("#"):
            return ""
        direction, text = line[:2], line[2:]
        if direction not in ("> ", "< "):
            return "the line begins neither with '> ' nor with '< '"
        if direction == "> " and not self.check_requests:
            self.remember(text)
            return ""
        try:
            message = json.loads(text)
        except ValueError as error:
            return f"no JSON: {error}"
        if not isinstance(message, dict):
            return "no object"
        self.count += 1
        if direction == "> ":
            return self.request(message)
        return self.event(message) if "event" in message else self.reply(message)

    def remember(self, text):
        try:
            message = json.loads(text)
        except ValueError:
            return
        if isinstance(message, dict) and "op" in message:
            self.operations.setdefault(json.dumps(message.get("id")), set()).add(str(message["op"]))

    def request(self, message):
        operation = message.get("op")
        if not isinstance(operation, str):
            return "a request without 'op'"
        self.operations.setdefault(json.dumps(message.get("id")), set()).add(operation)
        return self.schemas.complaints(operation, message)

    def event(self, message):
        return self.schemas.complaints(str(message["event"]), message)

    def reply(self, message):
        if message.get("ok") is False:
            return self.schemas.complaints("error", message)
        known = self.operations.get(json.dumps(message.get("re")))
        if not known:
            return f"a reply to {json.dumps(message.get('re'))}, which no request before it had as id"
        tried = {operation: self.schemas.complaints(operation + ".reply", message) for operation in sorted(known)}
        if not all(tried.values()):
            return ""
        return "; ".join(f"as reply to {operation}: {complaint}" for operation, complaint in tried.items())


def validate(path, schemas, check_requests):
    recording = Recording(schemas, check_requests)
    with open(path, encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            complaint = recording.complaint(line)
            if complaint:
                print(f"{path}:{number}: {complaint}\n{line.rstrip()}", file=sys.stderr)
                return False
    print(f"{path}: {recording.count} messages are as documented")
    return True


def main(words):
    paths = [word for word in words if not word.startswith("--")]
    flags = set(words) - set(paths)
    if not paths or flags - {"--from-node"}:
        print(__doc__, file=sys.stderr)
        return 2
    schemas = Schemas()
    good = [validate(path, schemas, "--from-node" not in flags) for path in paths]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
