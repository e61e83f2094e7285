#!/usr/bin/env python3
"""`quern serve` end to end, on 127.0.0.1: starting, configuring, refusing, draining. Usage: serve_test.py REPOSITORY QUERN"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

REPO, QUERN = sys.argv[1], sys.argv[2]
TINY = os.path.join(REPO, "tests/data/tiny")
KEY = "correct-horse-battery"


class Server:
    """A running server; its address is known once it listens."""

    def __init__(self, folder: str, *args: str) -> None:
        environment = dict(os.environ, XDG_DATA_HOME=os.path.join(folder, "home"))
        self.log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([QUERN, "serve", "--port", "0", *args], stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", line)
        if not match:
            self.process.wait(30)
            raise AssertionError(f"{line!r} {self.logged()}")
        self.url = match[1]

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(self.url + path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(60)

    def logged(self) -> str:
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Serve(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="quern-serve-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name: str, text: str) -> str:
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    def serve(self, *args: str) -> Server:
        server = Server(self.folder, *args)
        self.addCleanup(server.kill)
        return server

    def fails(self, *args: str, code: int = 1) -> str:
        environment = dict(os.environ, XDG_DATA_HOME=os.path.join(self.folder, "home"))
        done = subprocess.run([QUERN, "serve", "--port", "0", *args], capture_output=True, text=True, env=environment, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_starts_tells_how_it_is_and_ends(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.serve("--model", f"t={TINY}", "--memory", "2G")
            self.assertEqual(server.get("/health"), (200, '{"status":"ok"}'))
            status, text = server.get("/metrics")
            self.assertEqual(status, 200)
            self.assertIn('quern_model_loaded{model="t"} 0\n', text)
            self.assertEqual(server.get("/nowhere")[0], 404)
            self.assertEqual(server.stop(number), 0, server.logged())
            lines = server.logged().splitlines()
            self.assertTrue(any("route=/health status=200" in line for line in lines), lines)
            self.assertTrue(all(line.startswith("time=20") for line in lines), lines)

    def test_an_idle_server_uses_no_cpu(self) -> None:
        server = self.serve("--model", f"t={TINY}", "--no-data")
        server.get("/health")

        def used() -> int:
            with open(f"/proc/{server.process.pid}/stat", encoding="utf-8") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

        before = used()
        try:
            server.process.wait(2)
        except subprocess.TimeoutExpired:
            pass
        self.assertLessEqual(used() - before, 2)  # hundredths of a second

    def test_keys(self) -> None:
        keys = self.path("keys", f"ann:{KEY}\n")
        server = self.serve("--model", f"t={TINY}", "--no-data", "--api-key-file", keys)
        self.assertEqual(server.get("/health")[0], 200)
        self.assertEqual(server.get("/metrics")[0], 401)
        self.assertEqual(server.get("/metrics", Authorization=f"Bearer {KEY}")[0], 200)
        self.assertEqual(server.get("/metrics", x_api_key=KEY)[0], 200)
        self.assertEqual(server.get("/metrics", Host="evil.example")[0], 421)
        self.assertEqual(server.get("/metrics", Origin="https://evil.example", x_api_key=KEY)[0], 403)
        server.stop()
        self.assertIn("client=ann", server.logged())
        self.assertNotIn(KEY, server.logged())
        self.assertIn("--api-key-file is needed", self.fails("--host", "0.0.0.0", "--no-data"))
        self.assertIn("keys:1: ", self.fails("--no-data", "--api-key-file", self.path("keys", "short\n")))

    def test_configuration(self) -> None:
        config = self.path("serve.yaml", f"model-is-no-key: 1\nmodels:\n  t: {TINY}\n")
        self.assertIn(f"{config}:1:1: model-is-no-key: unknown option", self.fails("--config", config))
        config = self.path("serve.yaml", f"models:\n  t: {TINY}\nmax-body: many\n")
        self.assertIn(f"{config}:3:1: max-body: many: expected a number of bytes", self.fails("--config", config))
        config = self.path("serve.yaml", "models:\n  t: nowhere\n")
        self.assertIn("nowhere: no such folder or file", self.fails("--config", config))
        self.fails("--max-body", "many", code=2)
        self.fails("--log", "loud", code=2)

        config = self.path("serve.yaml", f"log: json\nno-data: true\nmax-body: 1K\ncors: ['https://a.example']\nmodels:\n  t:\n    path: {TINY}\n    pinned: true\n")
        server = self.serve("--config", config, "--max-body", "2K")
        while server.get("/health")[0] == 503:
            pass
        self.assertIn('quern_model_loaded{model="t"} 1\n', server.get("/metrics")[1])
        request = urllib.request.Request(server.url + "/nowhere", data=b"x" * 1500)
        with self.assertRaises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request, timeout=60)
        self.assertEqual(raised.exception.code, 404)  # not 413: the command line goes before the file
        raised.exception.close()
        self.assertEqual(server.get("/health", Origin="https://a.example")[0], 200)
        self.assertEqual(server.stop(), 0)
        for line in server.logged().splitlines():
            json.loads(line)

        printed = subprocess.run([QUERN, "serve", "--config", config, "--print-config"], capture_output=True, text=True, check=True).stdout
        again = self.path("again.yaml", printed)
        self.assertEqual(subprocess.run([QUERN, "serve", "--config", again, "--print-config"], capture_output=True, text=True, check=True).stdout, printed)
        self.assertIn("\nmax-body: 1K\n", printed)
        self.assertIn("    pinned: true\n", printed)

    def test_catalogue_data_and_traces(self) -> None:
        models = os.path.join(self.folder, "models")
        os.makedirs(models)
        os.symlink(TINY, os.path.join(models, "small"))
        trace, data = os.path.join(self.folder, "trace"), os.path.join(self.folder, "data")
        server = self.serve("--models", models, "--data", data, "--trace", trace)
        self.assertIn('model="small"', server.get("/metrics", x_api_key="secret-in-a-header")[1])
        self.assertIn("another server uses it", self.fails("--models", models, "--data", data))
        self.assertEqual(server.stop(), 0)
        traces = [os.path.join(trace, name) for name in os.listdir(trace)]
        self.assertEqual(len(traces), 1)
        with open(traces[0], encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn("secret-in-a-header", text)
        self.assertEqual(json.loads(text)["request"]["path"], "/metrics")
        self.assertEqual(os.stat(trace).st_mode & 0o077, 0)
        self.assertIn("no model there", self.fails("--models", trace, "--no-data"))

    def test_a_port_that_is_taken(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = subprocess.run([QUERN, "serve", "--model", f"t={TINY}", "--no-data", "--port", str(port)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"cannot listen on 127.0.0.1:{port}", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
