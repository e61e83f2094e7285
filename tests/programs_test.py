#!/usr/bin/env python3
"""Claude Code, Codex and opencode themselves, at work with `quern serve` and pebble.

    tests/programs_test.py REPOSITORY QUERN BUILD [CLASS…]

The programs come from npm into BUILD/tests/programs (300 MB). Each runs as its recipe in docs/clients.md says, in an empty home and without a
way to any other server. pebble is too small to know what to call in 10,000 tokens of instructions, so between program and server stands
somebody who holds its requests to one call with certain arguments: who answers, calls and streams is the server all the same.
"""
import http.client
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest

from npm_packages import install
from serving import Server

REPO, QUERN, BUILD = (os.path.abspath(path) for path in sys.argv[1:4])
PEBBLE = os.path.join(REPO, "models/pebble")
NOTE = "The secret word is plum."


class Between(http.server.ThreadingHTTPServer):
    """Hands requests on to `server`. `steps`: of each request that offers tools what is changed in it; `bodies`: those requests, as they came."""

    daemon_threads = True

    def __init__(self, server, steps):
        super().__init__(("127.0.0.1", 0), Handler)
        self.server, self.steps, self.bodies, self.problems = server, steps, [], []
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def changed(self, body):
        with self.lock:
            if not body.get("tools"):  # a title for the conversation
                return {**body, "max_tokens": 16}
            step = self.steps[min(len(self.bodies), len(self.steps) - 1)]
            self.bodies.append(body)
        changed = json.loads(json.dumps(body))
        changed["temperature"] = 0
        step(changed)
        return changed


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-type", "").startswith("application/json"):
            data = json.dumps(self.server.changed(json.loads(data))).encode()
        self.hand_on(data)

    def do_GET(self):
        self.hand_on(None)

    do_HEAD = do_GET

    def hand_on(self, data):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server.port, timeout=120)
        headers = {name: value for name, value in self.headers.items()
                   if name.lower() not in ("host", "content-length", "connection", "accept-encoding", "transfer-encoding")}
        connection.request(self.command, self.path, data, headers)
        response = connection.getresponse()
        if response.status >= 400:
            self.server.problems.append(f"{self.command} {self.path}: {response.status}")
        self.send_response(response.status)
        for name, value in response.headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "date", "content-length"):
                self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        while piece := response.read1(65536):
            self.wfile.write(piece)
        connection.close()
        self.close_connection = True

    def log_message(self, *_):
        pass


def exactly(arguments):
    return {"type": "object", "properties": {name: {"const": value} for name, value in arguments.items()}, "required": list(arguments),
            "additionalProperties": False}


class Program(unittest.TestCase):
    """One program's work: it reads a file with a tool of its own, and ends with what the model says to that."""

    @classmethod
    def setUpClass(cls):
        cls.packages = install(REPO, BUILD, "tests/programs")
        cls.server = Server(QUERN, [f"pebble={PEBBLE}"])

    @classmethod
    def tearDownClass(cls):
        code = cls.server.close()
        assert code == 0, f"exit code {code}"

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="quern-program-")
        self.addCleanup(folder.cleanup)
        self.home, self.work = (os.path.join(folder.name, name) for name in ("home", "work"))
        for path in (self.home, self.work):
            os.mkdir(path)
        self.note = os.path.join(self.work, "note.txt")
        with open(self.note, "w", encoding="ascii") as file:
            file.write(NOTE + "\n")

    def between(self, *steps):
        between = Between(self.server, steps)
        self.addCleanup(between.server_close)
        self.addCleanup(between.shutdown)
        return between

    def run_program(self, between, program, *arguments, **environment):
        nowhere = "http://127.0.0.1:9"
        done = subprocess.run([os.path.join(self.packages, "node_modules", program), *arguments], cwd=self.work, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120,
                              env={"PATH": os.environ["PATH"], "HOME": self.home, "TERM": "dumb", "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere,
                                   "NO_PROXY": "127.0.0.1", **environment})
        told = f"{done.stdout}\n{done.stderr}\n{self.server.said()}"
        self.assertEqual(done.returncode, 0, told)
        self.assertEqual(between.problems, [], told)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], told


class ClaudeCode(Program):
    def call(self, body):
        for tool in body["tools"]:
            if tool["name"] == "Read":
                tool["input_schema"] = exactly({"file_path": self.note})
        body["tool_choice"] = {"type": "tool", "name": "Read"}

    @staticmethod
    def answer(body):
        body["tool_choice"] = {"type": "none"}
        body["output_config"] = {"format": {"type": "json_schema", "schema": {"const": "done"}}}  # cut off, it would be asked for again

    def test_reads_a_file(self):
        between = self.between(self.call, self.answer)
        events, told = self.run_program(
            between, "@anthropic-ai/claude-code-linux-x64/claude", "-p", "What is the secret word in note.txt?", "--output-format", "stream-json", "--verbose",
            # The whole of its instructions takes 30,000 tokens, nearly pebble's context.
            "--tools", "Read,Glob,Grep", "--system-prompt", "You are an agent.",
            ANTHROPIC_BASE_URL=between.url, ANTHROPIC_AUTH_TOKEN="none", ANTHROPIC_MODEL="pebble", ANTHROPIC_DEFAULT_HAIKU_MODEL="pebble",
            CLAUDE_CODE_MAX_OUTPUT_TOKENS="2000", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1")
        self.assertEqual(len(between.bodies), 2, told)
        result = between.bodies[1]["messages"][-1]["content"][0]
        self.assertEqual(result["type"], "tool_result", told)
        self.assertIn(NOTE, json.dumps(result))
        end = events[-1]
        self.assertEqual((end["type"], end["subtype"], end["is_error"], end["num_turns"]), ("result", "success", False, 2), told)
        self.assertTrue(end["result"], told)
        self.assertGreater(end["usage"]["cache_read_input_tokens"], 500, told)

    def test_hears_that_a_prompt_is_too_long(self):
        with self.assertRaisesRegex(AssertionError, "Prompt is too long"):
            self.run_program(self.between(self.answer), "@anthropic-ai/claude-code-linux-x64/claude", "-p", "Hello", "--append-system-prompt", "0123456789" * 4000,
                             ANTHROPIC_BASE_URL=self.server.url, ANTHROPIC_AUTH_TOKEN="none", ANTHROPIC_MODEL="pebble",
                             CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1")


class Codex(Program):
    def setUp(self):
        super().setUp()
        os.mkdir(os.path.join(self.home, ".codex"))

    def configure(self, url):
        with open(os.path.join(self.home, ".codex", "config.toml"), "w", encoding="utf-8") as file:
            file.write(f"""
model = "pebble"
model_provider = "quern"
model_context_window = 32768
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.quern]
name = "quern"
base_url = "{url}/v1"
wire_api = "responses"

[mcp_servers.models]
command = {json.dumps(QUERN)}
args = ["mcp", "--model", {json.dumps(PEBBLE)}]
""")

    @staticmethod
    def call_shell(body):
        for tool in body["tools"]:
            if tool.get("name") == "exec_command":
                tool["parameters"] = exactly({"cmd": "cat note.txt"})
        body["tool_choice"] = {"type": "function", "name": "exec_command"}
        body["parallel_tool_calls"] = False

    @staticmethod
    def call_server(body):
        body["tool_choice"] = {"type": "function", "namespace": "mcp__models", "name": "list_models"}
        body["parallel_tool_calls"] = False

    @staticmethod
    def answer(body):
        body["tool_choice"] = "none"
        body["text"] = {"format": {"type": "json_schema", "name": "end", "schema": {"const": "plum"}}}  # an answer that was cut off is an error to it

    def test_runs_a_command_and_asks_an_mcp_server(self):
        between = self.between(self.call_shell, self.call_server, self.answer)
        self.configure(between.url)
        events, told = self.run_program(
            between, "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex", "exec", "--json", "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox", "What is the secret word in note.txt?")
        self.assertEqual(len(between.bodies), 3, told)
        outputs = [item["output"] for item in between.bodies[2]["input"] if item["type"] == "function_call_output"]
        self.assertEqual(len(outputs), 2, told)
        self.assertIn(NOTE, json.dumps(outputs[0]))
        self.assertIn("pebble", json.dumps(outputs[1]))
        self.assertEqual(events[-1]["type"], "turn.completed", told)
        self.assertGreater(events[-1]["usage"]["cached_input_tokens"], 10_000, told)
        said = [event["item"] for event in events if event["type"] == "item.completed"]
        self.assertEqual([item["text"] for item in said if item["type"] == "agent_message"], ['"plum"'], told)


class Opencode(Program):
    def call(self, body):
        for tool in body["tools"]:
            if tool["function"]["name"] == "read":
                tool["function"]["parameters"] = exactly({"filePath": self.note})
        body["tool_choice"] = {"type": "function", "function": {"name": "read"}}

    @staticmethod
    def answer(body):
        body["tool_choice"] = "none"
        body["max_tokens"] = 24

    def test_reads_a_file(self):
        between = self.between(self.call, self.answer)
        with open(os.path.join(self.work, "opencode.json"), "w", encoding="utf-8") as file:
            json.dump({"provider": {"quern": {"npm": "@ai-sdk/openai-compatible", "name": "quern", "options": {"baseURL": f"{between.url}/v1"},
                                              "models": {"pebble": {"name": "pebble", "limit": {"context": 32768, "output": 2000}}}}},
                       "model": "quern/pebble", "autoupdate": False, "share": "disabled"}, file)
        events, told = self.run_program(between, "opencode-linux-x64/bin/opencode", "run", "--format", "json", "What is the secret word in note.txt?",
                                        OPENCODE_DISABLE_MODELS_FETCH="1")
        self.assertEqual(len(between.bodies), 2, told)
        results = [message for message in between.bodies[1]["messages"] if message["role"] == "tool"]
        self.assertEqual(len(results), 1, told)
        self.assertIn(NOTE, json.dumps(results))
        kinds = [event["type"] for event in events]
        self.assertNotIn("error", kinds, told)
        self.assertIn("tool_use", kinds, told)
        self.assertTrue(any(event["type"] == "text" and event["part"]["text"] for event in events), told)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=1)
