#!/usr/bin/env python3
"""The page of `quern serve`, as somebody uses it: in a browser, with pebble and the file tools, in a folder of its own.

Usage: page_test.py REPOSITORY QUERN SCREENSHOTS   Exit 77 (skipped) where there is no Chromium, no npm, or no page in the binary.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def node(packages):
    own = sorted(packages.glob("node_modules/node-linux-*/bin/node"))
    return str(own[0]) if own else shutil.which("node")


def main():
    repository, quern, shots = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    packages = repository / "build/web"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        skip("chromium is not installed")
    if not (packages / "node_modules/playwright-core").is_dir():
        skip("scripts/page has not installed playwright-core")
    with tempfile.TemporaryDirectory(prefix="quern-page-") as place:
        root = pathlib.Path(place, "files")
        root.mkdir()
        for name in ("a.txt", "b.txt", "photo.jpg"):
            (root / name).write_text(f"this is {name}\n")
        server = subprocess.Popen(
            [quern, "serve", "--port", "0", "--data", f"{place}/data", "--tools", "files,ask_user", "--root", str(root)],
            stdout=subprocess.PIPE, stderr=open(f"{place}/log", "w"), text=True)
        try:
            line = server.stdout.readline()
            found = re.match(r"listening on (http://\S+)", line)
            if not found:
                print(open(f"{place}/log").read(), file=sys.stderr)
                raise SystemExit(f"quern serve did not start: {line!r}")
            url = found.group(1)
            with urllib.request.urlopen(urllib.request.Request(url + "/", headers={"accept": "text/html"})) as answer:
                if b'id="app"' not in answer.read():
                    skip("quern was built without its page")
            status = subprocess.call([node(packages), str(repository / "tests/page/page_test.mjs"), url, chromium, shots, str(packages)],
                                     timeout=240)
            if status != 0:
                print(open(f"{place}/log").read()[-3000:], file=sys.stderr)
                return status
        finally:
            server.send_signal(signal.SIGTERM)
            ended = server.wait(timeout=60)
        if ended != 0:
            raise SystemExit(f"quern serve ended with {ended}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
