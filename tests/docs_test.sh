#!/usr/bin/env bash
# Documents that are made from sources are as new as these, and every message has its German text.
set -euo pipefail
cd "$(dirname "$0")/.."
made=$(mktemp)
trap 'rm -f "$made"' EXIT
tools/generate-errors doc schema/errors.yaml "$made"
diff -u docs/errors.md "$made" || { echo "docs/errors.md is older than schema/errors.yaml: tools/generate-errors doc schema/errors.yaml docs/errors.md" >&2; exit 1; }
tools/update-messages --check
msgfmt --check -o /dev/null po/de.po

# What reaches people is a phrase, which can be said in German; plain English is for faults that only a log sees.
plain=$(find src -name '*.cc' -o -name '*.h' | grep -vE '(test|fixture|scene|model|bench|fuzz)\.(cc|h)$' |
  xargs grep -nE -A1 '\bfail\(|\b(Error)?\{ErrorCode::k' | tr '\n' '\f' | sed 's/,\f[^\f"]*-[0-9]*- */, /g' | tr '\f' '\n' |
  grep -E '(fail\(|\{)ErrorCode::k\w+, *("|fmt::format|std::string)' | grep -vE 'k(Internal|BadStream|SnapshotNeeded),' || true)
[[ -z "$plain" ]] || { echo "errors without a phrase (base/messages.h):" >&2; echo "$plain" >&2; exit 1; }
