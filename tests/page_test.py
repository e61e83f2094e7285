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


class Server:
    """quern serve, from the line it prints to its end, which has to be a good one."""

    def __init__(self, quern, place, name, options):
        self.log = pathlib.Path(place, f"{name}.log")
        self.process = subprocess.Popen([quern, "serve", "--port", "0", "--data", f"{place}/{name}", *options], stdout=subprocess.PIPE,
                                        stderr=open(self.log, "w"), text=True)

    def __enter__(self):
        line = self.process.stdout.readline()
        found = re.match(r"listening on (http://\S+)", line)
        if not found:
            raise SystemExit(f"quern serve did not start: {line!r}\n{self.log.read_text()}")
        self.url = found.group(1)
        return self

    def __exit__(self, *error):
        self.process.send_signal(signal.SIGTERM)
        ended = self.process.wait(timeout=60)
        if ended != 0 and not any(error):
            raise SystemExit(f"quern serve ended with {ended}\n{self.log.read_text()[-3000:]}")


def main():
    repository, quern, shots = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    packages = (repository / "build/web").resolve()
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
        keys = pathlib.Path(place, "keys")
        keys.write_text("ground-by-hand-daily\n")
        keys.chmod(0o600)
        with Server(quern, place, "open", ["--tools", "files,ask_user", "--root", str(root)]) as server, \
                Server(quern, place, "guarded", ["--api-key-file", str(keys), "--context", "256"]) as guarded:
            with urllib.request.urlopen(urllib.request.Request(server.url + "/", headers={"accept": "text/html"})) as answer:
                if b'id="app"' not in answer.read():
                    skip("quern was built without its page")
            status = subprocess.call([node(packages), str(repository / "tests/page/page_test.mjs"), server.url, chromium, shots, str(packages),
                                      guarded.url], timeout=360)
            if status != 0:
                print(server.log.read_text()[-3000:], file=sys.stderr)
            return status


if __name__ == "__main__":
    sys.exit(main())
