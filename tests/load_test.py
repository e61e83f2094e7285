#!/usr/bin/env python3
"""Many clients at the same time, not all of them well-behaved, on one `quern serve` with pebble.

    tests/load_test.py REPOSITORY QUERN [--seconds 10] [--streams 32] [--seed S] [--any-memory]

Clients of all three APIs stream answers; some go away in the middle or before the first word, some send what is no request, and models come
and go. What must hold: every answer that was finished is the one that the model gives alone; nothing hangs; memory does not grow; afterwards
the server is idle, and ends when it is told to. By hand: --seconds 600 --streams 256.
"""
import argparse
import collections
import http.client
import json
import os
import random
import sys
import threading
import time

from serving import Server, drop

STUCK = 120  # seconds without a byte
SUBJECTS = ["a river", "the number 7", "two old friends", "a list of colours", "rain", "how to count", "files and folders", "a cat"]


def openai(model, text, tokens, stream):
    body = {"model": model, "temperature": 0, "max_tokens": tokens, "stream": stream, "messages": [{"role": "user", "content": text}]}
    return "/v1/chat/completions", body


def anthropic(model, text, tokens, stream):
    body = {"model": model, "temperature": 0, "max_tokens": tokens, "stream": stream, "messages": [{"role": "user", "content": text}]}
    return "/v1/messages", body


def ollama(model, text, tokens, stream):
    body = {"model": model, "stream": stream, "options": {"temperature": 0, "num_predict": tokens}, "messages": [{"role": "user", "content": text}]}
    return "/api/chat", body


def said(path, line):
    """(text, over) of one line of a stream; None: nothing of either."""
    if path != "/api/chat":
        if not line.startswith(b"data: "):
            return None
        line = line[6:]
        if line.strip() == b"[DONE]":
            return "", True
    event = json.loads(line)
    if "error" in event:
        raise AssertionError(f"{path}: {event}")
    if path == "/api/chat":
        return event["message"]["content"], event["done"]
    if path == "/v1/messages":
        return event.get("delta", {}).get("text", ""), event["type"] == "message_stop"
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"]), False


def whole(path, body):
    if path == "/api/chat":
        return body["message"]["content"]
    if path == "/v1/messages":
        return "".join(block["text"] for block in body["content"] if block["type"] == "text")
    return body["choices"][0]["message"]["content"]


class Load:
    def __init__(self, server, options):
        self.server, self.options = server, options
        self.counts, self.wrong, self.lock = collections.Counter(), [], threading.Lock()
        self.prompts = [f"Tell me about {subject}." for subject in SUBJECTS]
        self.alone = {}

    def note(self, what):
        with self.lock:
            self.counts[what] += 1

    def fail(self, message):
        with self.lock:
            self.wrong.append(message)

    def learn(self):
        """What the model says to each prompt alone."""
        for text in self.prompts:
            for tokens in (4, 24):
                path, body = openai("pebble", text, tokens, False)
                status, answer = self.server.ask("POST", path, body, timeout=STUCK)
                assert status == 200, answer
                self.alone[text, tokens] = whole(path, answer)

    def stream(self, rng, leave_after=None):
        api = rng.choice([openai, anthropic, ollama])
        text, tokens = rng.choice(self.prompts), rng.choice([4, 24])
        path, body = api(rng.choice(["pebble", "pebble", "twin"]), text, tokens, True)
        connection, response = self.server.open("POST", path, body, timeout=STUCK)
        try:
            if response.status == 429:
                return self.note("refused: the queue is full")
            if response.status != 200:
                return self.fail(f"{path}: {response.status} {response.read()!r}")
            answer, over = "", False
            for count, line in enumerate(response):
                if leave_after is not None and count >= leave_after:
                    drop(connection)
                    return self.note("left in the middle")
                if line.strip() and (piece := said(path, line)):
                    answer, over = answer + piece[0], over or piece[1]
            if not over:
                return self.fail(f"{path}: the stream ended without its last event")
            self.compare(path, text, tokens, answer)
        finally:
            connection.close()

    def compare(self, path, text, tokens, answer):
        if answer != self.alone[text, tokens]:
            return self.fail(f"{path}: {answer!r}, alone {self.alone[text, tokens]!r}")
        self.note("finished as alone")

    def at_once(self, rng):
        api = rng.choice([openai, anthropic, ollama])
        text, tokens = rng.choice(self.prompts), rng.choice([4, 24])
        path, body = api("pebble", text, tokens, False)
        status, answer = self.server.ask("POST", path, body, timeout=STUCK)
        if status == 429:
            return self.note("refused: the queue is full")
        if status != 200:
            return self.fail(f"{path}: {status} {answer}")
        self.compare(path, text, tokens, whole(path, answer))

    def leave_before_the_answer(self, rng):
        path, body = openai("pebble", rng.choice(self.prompts) + " Much." * rng.randrange(200), 500, rng.random() < 0.5)
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=STUCK)
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        time.sleep(rng.random() * 0.2)
        drop(connection)
        self.note("left before the answer")

    def malformed(self, rng):
        path = rng.choice(["/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/responses", "/tokenize"])
        body = rng.choice([b"", b"{", b"[]", b"\xff\xfe", b'{"model": 7}', b'{"model": "pebble", "messages": 3}', b"[" * 5000,
                           b'{"model": "pebble", "max_tokens": -1, "messages": [{"role": "user", "content": "x"}]}'])
        status, answer = self.server.ask("POST", path, body, timeout=STUCK)
        # Ollama takes a chat without messages to load a model, and looks at no max_tokens.
        if not 400 <= status < 500 and not (path == "/api/chat" and status == 200):
            return self.fail(f"{path} {body[:60]!r}: {status} {str(answer)[:200]}")
        self.note("malformed, and told so")

    def unload(self, rng):
        status, answer = self.server.ask("POST", "/api/chat", {"model": "twin", "messages": [], "keep_alive": 0, "stream": False}, timeout=STUCK)
        if status != 200:
            return self.fail(f"unload: {status} {answer}")
        self.note("model let go of")

    def client(self, number, until):
        rng = random.Random(self.options.seed * 1000 + number)
        while time.monotonic() < until and len(self.wrong) < 20:
            kind = rng.random()
            try:
                if kind < 0.5:
                    self.stream(rng)
                elif kind < 0.65:
                    self.at_once(rng)
                elif kind < 0.8:
                    self.stream(rng, leave_after=rng.randrange(6))
                elif kind < 0.88:
                    self.leave_before_the_answer(rng)
                elif kind < 0.97 or number % 64:
                    self.malformed(rng)
                else:
                    self.unload(rng)
            except TimeoutError:
                self.fail("stuck: no byte for two minutes")
            except Exception as error:  # whatever it is, the run has failed, and says so
                self.fail(repr(error))

    def run(self):
        begun = time.monotonic()
        until = begun + self.options.seconds
        threads = [threading.Thread(target=self.client, args=(i, until), daemon=True) for i in range(self.options.streams)]
        for thread in threads:
            thread.start()
        sizes = []
        while any(thread.is_alive() for thread in threads):
            time.sleep(min(1, self.options.seconds / 20))
            sizes.append((time.monotonic() - begun, self.server.status("VmRSS") // 1024))
            if time.monotonic() > until + 3 * STUCK:
                self.fail(f"{sum(thread.is_alive() for thread in threads)} clients still wait")
                break
        return sizes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository")
    parser.add_argument("quern")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--any-memory", action="store_true", help="it may grow")
    options = parser.parse_args()
    pebble = os.path.join(os.path.abspath(options.repository), "models/pebble")
    server = Server(os.path.abspath(options.quern), [f"pebble={pebble}", f"twin={pebble}"], "--cache-memory", "64M", "--log", "none")
    try:
        load = Load(server, options)
        load.learn()
        sizes = load.run()
        idle = server.wait_until_idle()
        handles = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        # Flat: what it has at the end is what it had after the first half, but for what the allocator has not given back.
        half = max((size for at, size in sizes if at <= options.seconds / 2), default=0)
        end = server.status("VmRSS") // 1024
        code = server.close()
    except BaseException:
        print(server.said(), file=sys.stderr)
        server.close(5)
        raise
    for what, count in sorted(load.counts.items()):
        print(f"{count:7} {what}")
    print("memory over time, MB: " + " ".join(str(size) for _, size in sizes[:: max(1, len(sizes) // 20)]))
    print(f"memory: {half} MB at most in the first half, {end} MB at the end; {handles} open files; exit code {code}")
    problems = load.wrong[:10]
    if not load.counts["finished as alone"]:
        problems.append("no answer was finished")
    if not idle:
        problems.append("the server still works a minute after the last client went")
    if end > half * 1.15 + 64 and not options.any_memory:
        problems.append(f"memory grew from {half} to {end} MB")
    if handles > 64:
        problems.append(f"{handles} files are open")
    if code != 0:
        problems.append(f"exit code {code} after SIGTERM")
    for problem in problems:
        print("wrong:", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
