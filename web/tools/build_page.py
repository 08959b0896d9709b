#!/usr/bin/env python3
"""Builds the page into STAGE/dist, outside of the source tree, so that several build directories don't meet.

Without npm, or when the packages can't be fetched, dist holds one page that says so: a node without its page still
serves workstations. A page that does not compile is an error.
"""
import argparse
import hashlib
import html
import os
import shutil
import subprocess
import sys

PACKAGE_FILES = ["package.json", "package-lock.json", ".npmrc"]

NOTICE = """<!doctype html>
<html lang="de"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Verbund</title></head><body>
<h1>Verbund</h1>
<p>Die Seite wurde beim Bauen dieses Programms nicht erzeugt. Der Knoten selbst l\u00e4uft; <code>verbund status</code>
zeigt seinen Zustand.</p>
<p lang="en">The page was not built with this program. The node itself runs; see <code>verbund status</code>.</p>
<p lang="en">Reason: {reason}</p>
</body></html>
"""


def copy_sources(source, stage):
    """Copies what changed and removes what has gone; node_modules stays."""
    for name in ["src", "public"]:
        target = os.path.join(stage, name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(os.path.join(source, name), target)
    for name in ["e2e", "tools"]:
        shutil.rmtree(os.path.join(stage, name), ignore_errors=True)
        shutil.copytree(os.path.join(source, name), os.path.join(stage, name), ignore=shutil.ignore_patterns("__pycache__"))
    for name in PACKAGE_FILES + ["index.html", "tsconfig.json", "vite.config.ts", "vitest.e2e.config.ts"]:
        shutil.copy(os.path.join(source, name), stage)


def packages_digest(source):
    digest = hashlib.sha256()
    for name in PACKAGE_FILES:
        with open(os.path.join(source, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def install(npm, source, stage):
    """`npm ci` when the packages are others than at the last time. Returns why it failed, or None."""
    stamp = os.path.join(stage, "node_modules", ".verbund-packages")
    digest = packages_digest(source)
    if os.path.exists(stamp) and open(stamp, encoding="ascii").read() == digest:
        return None
    done = subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=stage, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return f"npm ci ended with exit code {done.returncode}"
    with open(stamp, "w", encoding="ascii") as file:
        file.write(digest)
    return None


def write_notice(stage, reason):
    print(f"web: the page is not built: {reason}", file=sys.stderr)
    dist = os.path.join(stage, "dist")
    shutil.rmtree(dist, ignore_errors=True)
    os.makedirs(dist)
    with open(os.path.join(dist, "index.html"), "w", encoding="utf-8") as file:
        file.write(NOTICE.format(reason=html.escape(reason)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument("--stage", required=True)
    arguments = parser.parse_args()
    os.makedirs(arguments.stage, exist_ok=True)
    npm = shutil.which("npm")
    if npm is None:
        write_notice(arguments.stage, "npm was not installed on the machine that built it")
        return 0
    copy_sources(arguments.source, arguments.stage)
    reason = install(npm, arguments.source, arguments.stage)
    if reason is not None:
        write_notice(arguments.stage, reason)
        return 0
    return subprocess.run([npm, "run", "--silent", "build"], cwd=arguments.stage, stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
