"""A `quern serve` of one test, and requests to it over plain sockets, so that a test can break off wherever it likes."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time


class Server:
    """Runs until close(); `models` are NAME=PATH. Its log is kept, and shown when something is wrong."""

    def __init__(self, quern, models, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="quern-serve-")
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8")
        arguments = [quern, "serve", "--port", "0", *options]
        for model in models:
            arguments += ["--model", model]
        environment = {**os.environ, **{f"XDG_{kind}_HOME": self.folder.name for kind in ("STATE", "CACHE", "DATA")}}
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)
        line = self.process.stdout.readline()
        ready = re.match(r"listening on (http://127\.0\.0\.1:(\d+))", line)
        if not ready:
            self.process.kill()
            raise RuntimeError(f"quern serve said {line!r}: {self.said()}")
        self.url, self.port = ready[1], int(ready[2])

    def said(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()[-4000:]

    def close(self, seconds=60):
        """Its exit code after SIGTERM."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()
        return code

    def status(self, field):
        """Of /proc/PID/status: kB, or a number."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{field}:\s+(\d+)", file.read(), re.M)[1])

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open(self, method, path, body=None, timeout=60, headers=None):
        """The connection and its answer, whose body is not read yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection.request(method, path, data, {"content-type": "application/json", **(headers or {})})
        return connection, connection.getresponse()

    def ask(self, method, path, body=None, **more):
        """(status, JSON or text)"""
        connection, response = self.open(method, path, body, **more)
        try:
            text = response.read().decode()
        finally:
            connection.close()
        kind = response.headers.get("content-type", "")
        return response.status, json.loads(text) if kind.startswith("application/json") else text

    def wait_until_idle(self, seconds=60):
        """No CPU used for a second."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            before = self.cpu_seconds()
            time.sleep(1)
            if self.cpu_seconds() - before <= 0.03:
                return True
        return False


def drop(connection):
    """Breaks the connection off, as a client does that was killed."""
    if connection.sock:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
