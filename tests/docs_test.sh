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
