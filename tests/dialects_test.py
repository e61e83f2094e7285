#!/usr/bin/env python3
"""`quern serve` with pebble, as clients of OpenAI's, Anthropic's, Ollama's and its own API see it.

    tests/dialects_test.py REPOSITORY QUERN BUILD [CLASS…]

OpenAI's, Anthropic's and Ollama's own clients for Node.js are installed into BUILD/tests/npm, as the tests of MCP servers install theirs;
LangChain and the AI SDK, which other programs are made of, into BUILD/tests/frameworks.
"""
import datetime
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from npm_packages import install
from serving import Server, drop

REPO, QUERN, BUILD = (os.path.abspath(path) for path in sys.argv[1:4])
PEBBLE = os.path.join(REPO, "models/pebble")
# Of pebble: six DeltaNet layers of 4 heads with 64 x 64 floats, and three inputs each of their convolutions' 512 channels: what a sequence of
# any length has for its own. A live one can also go back 8 tokens, which is not free.
STATE = 6 * (4 * 64 * 64 + 3 * 512) * 4
LIVE = 6 * STATE


class Served(unittest.TestCase):
    options = []
    keeps_data = False  # in a folder; otherwise the server keeps none

    @classmethod
    def setUpClass(cls):
        cls.data = tempfile.TemporaryDirectory(prefix="quern-data-")
        cls.start()

    @classmethod
    def start(cls):
        cls.server = Server(QUERN, [f"pebble={PEBBLE}"], *cls.options, *(["--data", cls.data.name] if cls.keeps_data else []))

    @classmethod
    def tearDownClass(cls):
        code = cls.server.close()
        cls.data.cleanup()
        assert code == 0, f"exit code {code}"

    def ok(self, method, path, body=None, **more):
        status, answer = self.server.ask(method, path, body, **more)
        self.assertEqual(status, 200, answer)
        return answer

    def fails(self, status, says, method, path, body=None, **more):
        found, answer = self.server.ask(method, path, body, **more)
        self.assertEqual(found, status, answer)
        self.assertIn(says, json.dumps(answer, ensure_ascii=False))

    def node(self, script, folder="tests/npm"):
        packages = install(REPO, BUILD, folder)
        shutil.copy(os.path.join(REPO, folder, script), packages)
        done = subprocess.run(["node", script, self.server.url], cwd=packages, capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stdout), (0, "ok\n"), done.stdout + done.stderr + self.server.said())

    def events(self, method, path, body):
        connection, response = self.server.open(method, path, body)
        text = response.read().decode()
        connection.close()
        self.assertEqual(response.status, 200, text)
        return text


class Anthropic(Served):
    def test_its_own_client(self):
        self.node("anthropic.mjs")

    def test_claude_code(self):
        """What it sends: HEAD /, a beta address, a line that changes with each request in front of everything, many blocks, many tools."""
        connection, response = self.server.open("HEAD", "/")
        self.assertEqual(response.status, 200)
        connection.close()

        def body(nonce, messages, **more):
            system = [{"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1.37.0d9; cc_entrypoint=cli; cch={nonce};"},
                      {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
                      {"type": "text", "text": "Long words. " * 150, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
            tools = [{"name": name, "description": f"{name} something", "input_schema": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
                      "properties": {"path": {"type": "string"}}, "required": ["path"], "additionalProperties": False}} for name in ("Read", "Write", "Glob")]
            return {"model": "pebble", "max_tokens": 20, "stream": True, "system": system, "tools": tools, "metadata": {"user_id": "user_1_session_2"},
                    "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}, "context_management": {"edits": []}, "messages": messages, **more}

        hello = [{"role": "user", "content": [{"type": "text", "text": "<system-reminder>x</system-reminder>"}, {"type": "text", "text": "Hello"}]},
                 {"role": "system", "content": "Available agent types: none."}]
        first = self.events("POST", "/v1/messages?beta=true", body("fa690", hello))
        self.assertIn("event: message_stop", first)
        second = self.events("POST", "/v1/messages?beta=true", body("0aaa9", hello))
        usage = [json.loads(line[6:]) for line in second.splitlines() if line.startswith('data: {"type":"message_delta"')][0]["usage"]
        self.assertGreater(usage["cache_read_input_tokens"], 3 * usage["input_tokens"], usage)
        counted = self.ok("POST", "/v1/messages/count_tokens?beta=true", {key: value for key, value in body("1", hello).items() if key not in ("max_tokens", "stream")})
        self.assertGreater(counted["input_tokens"], 300)

    def test_errors_have_its_shape(self):
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            for body in (b"", b"{", b"[]", b"\xff", b'{"messages": []}'):
                status, answer = self.server.ask("POST", path, body)
                self.assertEqual((status, answer["type"], answer["error"]["type"]), (400, "error", "invalid_request_error"), answer)
        status, answer = self.server.ask("GET", "/v1/messages")
        self.assertEqual((status, answer["type"]), (405, "error"))


class ClaudeNames(Served):
    options = ["--claude-names"]

    def test_any_claude_is_the_default_model(self):
        body = {"model": "claude-haiku-4-5", "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}
        self.assertEqual(self.ok("POST", "/v1/messages", body)["model"], "claude-haiku-4-5")
        self.fails(404, "gpt-5", "POST", "/v1/messages", {**body, "model": "gpt-5"})


class OpenAi(Served):
    def test_its_own_client(self):
        self.node("openai.mjs")

    def test_codex(self):
        """What it sends: a stateless conversation as items, tools of many types, those of MCP servers in namespaces, reasoning sent back packed."""
        body = {"model": "pebble", "instructions": "You are an agent.", "stream": True, "store": False, "parallel_tool_calls": False, "tool_choice": "auto",
                "include": ["reasoning.encrypted_content"], "prompt_cache_key": "a", "reasoning": {"effort": "medium", "summary": "auto"}, "text": {"verbosity": "low"},
                "tools": [{"type": "function", "name": "shell", "description": "Runs", "strict": False, "parameters": {"type": "object", "properties": {
                    "command": {"type": "array", "items": {"type": "string"}}}, "required": ["command"], "additionalProperties": False}},
                    {"type": "namespace", "name": "mcp__memory", "description": "Tools in the mcp__memory namespace.", "tools": [
                        {"type": "function", "name": "recall", "description": "Recalls", "strict": False, "parameters": {"type": "object", "properties": {}}}]},
                    {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}}, {"type": "web_search", "external_web_access": False}],
                "input": [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
                          {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List the files."}]},
                          {"type": "reasoning", "summary": [], "encrypted_content": "quern1.SG0u"},
                          {"type": "function_call", "call_id": "1", "name": "shell", "arguments": "{\"command\": [\"ls\"]}"},
                          {"type": "function_call_output", "call_id": "1", "output": "a.txt"},
                          {"type": "function_call", "id": "fc_2", "call_id": "2", "namespace": "mcp__memory", "name": "recall", "arguments": "{}"},
                          {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]}],
                "client_metadata": {"session_id": "a", "x-codex-turn-metadata": "{}"}, "max_output_tokens": 8}
        events = [json.loads(line[6:]) for line in self.events("POST", "/v1/responses", body).splitlines() if line.startswith("data: ")]
        self.assertEqual(events[0]["type"], "response.created")
        self.assertIn(events[-1]["type"], ("response.completed", "response.incomplete"))
        self.assertEqual(events[-1]["response"]["metadata"]["ignored_tools"], "custom apply_patch, web_search")
        self.assertTrue(any(event["type"] == "response.output_item.done" for event in events))

    def test_errors_have_its_shape(self):
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"):
            for body in (b"", b"{", b"[]", b"\xff", b"{}", b'{"model": 7}'):
                status, answer = self.server.ask("POST", path, body)
                self.assertEqual((status, answer["error"]["type"], sorted(answer["error"])), (400, "invalid_request_error", ["code", "message", "param", "type"]), (path, body, answer))
        status, answer = self.server.ask("GET", "/v1/chat/completions")
        self.assertEqual((status, answer["error"]["type"]), (405, "invalid_request_error"))

    def test_metrics_tell_of_the_queue_and_the_prefix_cache(self):
        asked = {"model": "pebble", "messages": [{"role": "system", "content": "You mill flour. " * 40}, {"role": "user", "content": "Hello."}], "max_tokens": 4}
        for _ in range(2):
            self.ok("POST", "/v1/chat/completions", asked)
        found = dict(line.rsplit(" ", 1) for line in self.ok("GET", "/metrics").splitlines() if line and line[0] != "#")
        for name in ("lookups_total", "hits_total", "found_tokens_total", "states", "bytes"):
            self.assertGreater(float(found[f'quern_prefix_cache_{name}{{model="pebble"}}']), 0, name)
        self.assertGreaterEqual(int(found['quern_queue_wait_seconds_count{model="pebble"}']), 2)

    def test_document(self):
        document = self.ok("GET", "/openapi.json")
        self.assertEqual(document["openapi"], "3.1.0")
        for path in document["paths"]:  # what is told of is there
            status, answer = self.server.ask("OPTIONS", path.replace("{id}", "x"))
            self.assertEqual(status, 204, (path, answer))


class KeptResponses(Served):
    keeps_data = True

    def test_a_conversation_goes_on_after_kill_and_restart(self):
        def answer(**more):
            return self.ok("POST", "/v1/responses", {"model": "pebble", "temperature": 0, "max_output_tokens": 8, **more})

        first = answer(input="My name is Ann.")
        second = answer(input="What is my name?", previous_response_id=first["id"])
        self.server.process.kill()
        self.server.close()
        self.start()
        self.assertEqual(self.ok("GET", f"/v1/responses/{second['id']}"), second)
        self.assertEqual(self.ok("GET", f"/v1/responses/{first['id']}/input_items")["data"][0]["content"][0]["text"], "My name is Ann.")
        again = answer(input="What is my name?", previous_response_id=first["id"])
        self.assertEqual(again["output"][0]["content"], second["output"][0]["content"])
        third = answer(input="And now?", previous_response_id=second["id"])
        self.assertGreater(third["usage"]["input_tokens"], second["usage"]["input_tokens"])
        self.ok("DELETE", f"/v1/responses/{second['id']}")
        self.fails(404, "no such response", "GET", f"/v1/responses/{second['id']}")
        answer(input="Still?", previous_response_id=third["id"])


class Ollama(Served):
    def test_its_own_client(self):
        self.node("ollama.mjs")

    def test_lines(self):
        connection, response = self.server.open("POST", "/api/generate", {"model": "pebble", "prompt": "Say hello.", "options": {"num_predict": 5}})
        self.assertEqual(response.headers["content-type"], "application/x-ndjson")
        lines = [json.loads(line) for line in response.read().decode().splitlines()]
        connection.close()
        self.assertTrue(lines[-1]["done"])
        self.assertFalse(any(line["done"] for line in lines[:-1]))

    def test_errors_have_its_shape(self):
        for path in ("/api/chat", "/api/generate", "/api/embed", "/api/show"):
            for body in (b"", b"{", b"[]", b'{"model": 7}', b"{}"):
                status, answer = self.server.ask("POST", path, body)
                self.assertEqual((status, list(answer)), (400, ["error"]), (path, body, answer))
        self.fails(501, "quern quantize", "POST", "/api/create", {"model": "x"})


class Frameworks(Served):
    def test_langchain(self):
        self.node("langchain.mjs", "tests/frameworks")

    def test_ai_sdk(self):
        self.node("aisdk.mjs", "tests/frameworks")


def stream_chunks(text):
    """Of a stream of chat completions, as clients read it that look at lines with data alone."""
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]", text
    return [json.loads(line) for line in lines[:-1]]


ADD = {"type": "function", "function": {"name": "math__add", "description": "Adds", "parameters": {
    "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}}}


class Goose(Served):
    """Its requests and what it reads of their answers, by its source (crates/goose/src/providers); the program itself is not here."""
    headers = {"authorization": "Bearer none", "goose-session-id": "20261128_1"}

    def ask(self, **more):
        body = {"model": "pebble", "messages": [{"role": "system", "content": "You are goose."}, {"role": "user", "content": "Add 2 and 3."}], "tools": [ADD],
                "max_tokens": 200, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}, **more}
        connection, response = self.server.open("POST", "/v1/chat/completions", body, headers=self.headers)
        text = response.read().decode()
        connection.close()
        return response.status, text

    def test_a_turn(self):
        status, text = self.ask(tool_choice="required")  # the model's to decide, but for that
        self.assertEqual(status, 200, text)
        chunks = stream_chunks(text)
        arguments, name, call, finish, usage = "", None, None, None, None
        for chunk in chunks:
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"][:1]:
                finish = choice["finish_reason"] or finish
                for part in choice["delta"].get("tool_calls") or []:
                    self.assertEqual(part["index"], 0)
                    arguments += part["function"].get("arguments", "")
                    name, call = part["function"].get("name") or name, part.get("id") or call
        self.assertEqual((name, finish), ("math__add", "tool_calls"))
        self.assertEqual(set(json.loads(arguments)), {"a", "b"})
        self.assertTrue(usage["prompt_tokens"] and usage["completion_tokens"] and usage["total_tokens"], usage)
        messages = [{"role": "system", "content": "You are goose."}, {"role": "user", "content": "Add 2 and 3."},
                    {"role": "assistant", "content": None, "tool_calls": [{"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}]},
                    {"role": "tool", "content": "5", "tool_call_id": call}]
        status, text = self.ask(messages=messages, tool_choice="none", max_tokens=8)
        self.assertTrue("".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in stream_chunks(text) if chunk["choices"]), text)

    def test_a_conversation_that_is_too_long_is_known_as_such(self):
        status, text = self.ask(messages=[{"role": "user", "content": "word " * 40000}])
        self.assertEqual(status, 400)
        message = json.loads(text)["error"]["message"]
        self.assertRegex(message, r"^prompt is too long: \d+ tokens > 32768, .* maximum context length")  # which makes it summarise

    def test_models(self):
        models = [model["id"] for model in self.ok("GET", "/v1/models", headers=self.headers)["data"]]
        self.assertIn("pebble", models)
        # As its provider "ollama": the names of one API, taken to the other.
        names = [model["name"] for model in self.ok("GET", "/api/tags")["models"]]
        for name in names:
            status, text = self.ask(model=name, options={"num_ctx": 32768}, max_tokens=4)
            self.assertEqual(status, 200, text)


class OpenWebUi(Served):
    """Its requests and what it reads of their answers, by its source (backend/open_webui); the program itself is not here."""
    headers = {"authorization": "Bearer none", "x-openwebui-user-name": "Ann", "x-openwebui-chat-id": "1"}

    def test_a_connection_of_openais_kind(self):
        for model in self.ok("GET", "/v1/models", headers=self.headers)["data"]:
            self.assertTrue(model["id"])
            self.assertNotIn("error", model)
        body = {"model": "pebble", "stream": True, "stream_options": {"include_usage": True}, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
        chunks = stream_chunks(self.events("POST", "/v1/chat/completions", body))
        self.assertTrue("".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]))
        self.assertGreater(chunks[-1]["usage"]["prompt_tokens"], 0)
        # A title, tags, a question to go on with: whole answers.
        title = self.ok("POST", "/v1/chat/completions", {"model": "pebble", "stream": False, "max_completion_tokens": 20, "messages": [{"role": "user", "content": "### Task: a title"}]}, headers=self.headers)
        self.assertIsInstance(title["choices"][0]["message"]["content"], str)
        found = self.ok("POST", "/v1/embeddings", {"model": "pebble", "input": ["one", "two"]}, headers=self.headers)
        self.assertEqual([len(one["embedding"]) for one in found["data"]], [256, 256])

    def test_a_connection_of_ollamas_kind(self):
        version = self.ok("GET", "/api/version")["version"]
        self.assertEqual(len([int(part) for part in version.split("-")[0].split(".")]), 3)
        listed = {model["model"]: model for model in self.ok("GET", "/api/tags", headers=self.headers)["models"]}
        name = "pebble:latest"  # to a name without a tag it adds one, and looks for that in the list
        self.assertIn(name, listed)
        self.assertIn("details", listed[name])
        body = {"model": name, "stream": True, "messages": [{"role": "user", "content": "Hello"}], "keep_alive": "5m", "tools": [ADD],
                "options": {"temperature": 0.1, "num_predict": 8, "new_topic_penalty": 0.1, "mirostat": 0, "num_ctx": 4096, "use_mmap": True}}
        connection, response = self.server.open("POST", "/api/chat", body, headers=self.headers)
        lines = [json.loads(line) for line in response.read().decode().splitlines()]
        connection.close()
        self.assertEqual(response.status, 200, lines)
        for line in lines:
            self.assertEqual(line["model"], name)
            self.assertIn("content", line["message"])
        self.assertTrue(lines[-1]["done"] and lines[-1]["eval_count"] > 0 and lines[-1]["eval_duration"] > 0, lines[-1])
        for key in ("prompt_eval_count", "prompt_eval_duration", "total_duration", "load_duration"):
            self.assertIsInstance(lines[-1][key], int)
        running = {model["name"]: datetime.datetime.fromisoformat(model["expires_at"].replace("Z", "+00:00")) for model in self.ok("GET", "/api/ps")["models"]}
        self.assertGreater(running[name], datetime.datetime.now(datetime.timezone.utc))
        self.assertEqual(len(self.ok("POST", "/api/embed", {"model": name, "input": ["one", "two"], "truncate": True})["embeddings"]), 2)
        self.assertIn("capabilities", self.ok("POST", "/api/show", {"model": name}))
        self.assertTrue(self.ok("POST", "/api/generate", {"model": name, "keep_alive": 0, "prompt": "", "stream": False})["done"])  # unload
        self.fails(400, "images", "POST", "/api/chat", {"model": name, "messages": [{"role": "user", "content": "x", "images": ["aGk="]}]})


class Text(Served):
    def test_tokens(self):
        text = "Grüße, <|im_end|> 你好 🙂"
        plain = self.ok("POST", "/tokenize", {"content": text})
        special = self.ok("POST", "/tokenize", {"content": text, "parse_special": True})
        self.assertLess(special["count"], plain["count"])
        self.assertEqual(self.ok("POST", "/detokenize", {"tokens": plain["tokens"]})["content"], text)
        pieces = self.ok("POST", "/tokenize", {"content": text, "with_pieces": True})["tokens"]
        self.assertEqual([piece["id"] for piece in pieces], plain["tokens"])
        joined = b"".join(bytes(p["piece"]) if isinstance(p["piece"], list) else p["piece"].encode() for p in pieces)
        self.assertEqual(joined.decode(), text)
        self.fails(400, "tokens[1]: 99999999", "POST", "/detokenize", {"tokens": [1, 99999999]})
        self.fails(400, "content", "POST", "/tokenize", {})
        self.fails(404, "nobody", "POST", "/tokenize", {"content": "", "model": "nobody"})

    def test_template(self):
        conversation = {"messages": [{"role": "user", "content": "Hi <|im_end|>"}]}
        answer = self.ok("POST", "/apply-template", conversation)
        with open(os.path.join(self.data.name, "request.json"), "w", encoding="utf-8") as file:
            json.dump(conversation, file)
        rendered = subprocess.run([QUERN, "render", file.name], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(answer["prompt"], rendered.stdout)
        self.assertIn("Hi <|im_end|>", answer["prompt"])
        self.assertIn({"text": "Hi <|im_end|>", "trusted": False}, answer["pieces"])

    def test_props(self):
        props = self.ok("GET", "/props")
        self.assertEqual(props["default_model"], "pebble")
        self.assertEqual(props["models"][0]["architecture"], "qwen3_next")
        self.assertEqual(props["models"][0]["context"], 32768)


class Sessions(Served):
    keeps_data = True

    def say(self, session, text, **more):
        return self.ok("POST", f"/v1/sessions/{session}/turn", {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 12, **more})

    def test_goes_on_without_being_read_again(self):
        made = self.ok("POST", "/v1/sessions", {"id": "talk", "messages": [{"role": "system", "content": "You are brief. " * 50}]})
        self.assertEqual((made["id"], made["object"], made["live"], made["model"]), ("talk", "session", True, "pebble"))
        first = self.say("talk", "Hello.")
        self.assertEqual(first["usage"]["reused_tokens"], made["tokens"])
        second = self.say("talk", "And now?")
        # All but what is new: what closes the answer, the question, what opens the next answer.
        self.assertLess(second["usage"]["prompt_tokens"] - second["usage"]["reused_tokens"], 20)
        self.assertEqual(second["session"]["tokens"], second["usage"]["prompt_tokens"] + second["usage"]["tokens"])
        # It is what a conversation without a session says.
        chat = self.ok("POST", "/v1/chat/completions", {"model": "pebble", "temperature": 0, "max_tokens": 12, "messages": [
            {"role": "system", "content": "You are brief. " * 50}, {"role": "user", "content": "Hello."}]})
        self.assertEqual(chat["choices"][0]["message"]["content"], first["text"])
        streamed = self.events("POST", "/v1/sessions/talk/turn", {"messages": [{"role": "user", "content": "More."}], "temperature": 0, "max_tokens": 8, "stream": True})
        events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: ")]
        self.assertEqual(events[-1]["type"], "end")
        self.assertEqual("".join(event["text"] for event in events if event["type"] == "text"), events[-1]["text"])
        self.ok("DELETE", "/v1/sessions/talk")
        self.fails(404, "talk", "GET", "/v1/sessions/talk")

    def test_forks_cost_the_same_however_long_the_past_is(self):
        cost = {}
        for name, text in (("short", "The river went on. "), ("long", "The river went on. " * 400)):
            trunk = self.ok("POST", "/v1/sessions", {"id": name, "text": text})
            before = self.server.status("VmRSS")
            forks = self.ok("POST", f"/v1/sessions/{name}/fork", {"count": 32})["data"]
            grown = (self.server.status("VmRSS") - before) * 1024
            self.assertEqual(len({fork["id"] for fork in forks}), 32)
            self.assertEqual({fork["tokens"] for fork in forks}, {trunk["tokens"]})
            cost[name] = forks[0]["bytes"]
            self.assertEqual({fork["bytes"] for fork in forks}, {cost[name]})
            self.assertLess(cost[name], LIVE)
            self.assertLess(grown, 32 * 1.2 * LIVE)
            # Each goes on by itself, and as the others do.
            said = {self.ok("POST", f"/v1/sessions/{fork['id']}/turn", {"text": " Then", "temperature": 0, "max_tokens": 6})["text"] for fork in forks[:4]}
            self.assertEqual(len(said), 1)
            self.assertEqual(self.ok("GET", f"/v1/sessions/{name}")["tokens"], trunk["tokens"])
            for fork in forks:
                self.ok("DELETE", f"/v1/sessions/{fork['id']}")
            self.ok("DELETE", f"/v1/sessions/{name}")
        self.assertGreater(trunk["tokens"], 1500)
        self.assertLess(abs(cost["long"] - cost["short"]), 1 << 17, cost)  # a page of the KV cache at most

    def test_is_there_again_after_a_restart(self):
        tool = {"type": "function", "function": {"name": "look", "description": "Looks", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}}
        self.ok("POST", "/v1/sessions", {"id": "kept", "messages": [{"role": "user", "content": "Remember me."}], "tools": [tool]})
        self.ok("POST", "/v1/sessions/kept/save")
        with_it = self.say("kept", "Who?", tool_choice="required")
        self.assertEqual(with_it["calls"][0]["name"], "look")
        self.assertEqual(self.server.close(), 0)
        self.start()
        self.assertIn("kept", [session["id"] for session in self.ok("GET", "/v1/sessions?model=pebble")["data"]])
        restored = self.ok("POST", "/v1/sessions/kept/restore")
        self.assertTrue(restored["live"] and restored["saved"])
        again = self.say("kept", "Who?", tool_choice="required")
        self.assertEqual([call["name"] for call in again["calls"]], [call["name"] for call in with_it["calls"]])
        self.assertEqual(again["usage"]["reused_tokens"], restored["tokens"])
        self.ok("DELETE", "/v1/sessions/kept")

    def test_a_client_that_goes_away_changes_nothing(self):
        self.ok("POST", "/v1/sessions", {"id": "left", "messages": [{"role": "user", "content": "Count."}]})
        tokens = self.ok("GET", "/v1/sessions/left")["tokens"]
        endless = {"type": "array", "items": {"type": "integer"}, "minItems": 3000}  # it is still at it when the client goes
        connection, response = self.server.open("POST", "/v1/sessions/left/turn",
                                                {"messages": [{"role": "user", "content": "On."}], "schema": endless, "max_tokens": 3000, "stream": True})
        response.readline()
        self.fails(429, "left", "POST", "/v1/sessions/left/append", {"text": "x"})
        drop(connection)
        for _ in range(100):
            session = self.ok("GET", "/v1/sessions/left")
            if not session["busy"]:
                break
            threading.Event().wait(0.05)
        self.assertEqual((session["busy"], session["tokens"]), (False, tokens))
        self.ok("DELETE", "/v1/sessions/left")

    def test_says_what_is_wrong(self):
        self.ok("POST", "/v1/sessions", {"id": "a"})
        self.fails(400, "there already", "POST", "/v1/sessions", {"id": "a"})
        self.fails(400, "id", "POST", "/v1/sessions", {"id": "../a"})
        self.fails(400, "only one", "POST", "/v1/sessions/a/append", {"text": "x", "tokens": [1]})
        self.ok("POST", "/v1/sessions/a/append", {"text": "x"})
        self.fails(400, "no conversation", "POST", "/v1/sessions/a/turn", {"messages": [{"role": "user", "content": "x"}]})
        self.fails(400, "count", "POST", "/v1/sessions/a/fork", {"count": 0})
        self.fails(404, "b", "POST", "/v1/sessions/b/save")
        self.fails(404, "nobody", "POST", "/v1/sessions/nobody/restore")
        self.ok("DELETE", "/v1/sessions/a")


class Busy(Served):
    options = ["--max-running", "1", "--max-waiting", "1"]

    def test_everybody_is_told_when_to_come_back(self):
        messages = [{"role": "user", "content": "Tell me a long story."}]
        asked = {"model": "pebble", "messages": messages, "stream": True, "response_format": {
            "type": "json_schema", "json_schema": {"name": "long", "schema": {"type": "array", "items": {"type": "boolean"}, "minItems": 9000}}}}
        for state in ("running", "waiting"):
            held = http.client.HTTPConnection("127.0.0.1", self.server.port)
            self.addCleanup(drop, held)
            held.request("POST", "/v1/chat/completions", json.dumps(asked), {"content-type": "application/json"})
            until = time.monotonic() + 60
            while f'quern_generations_{state}{{model="pebble"}} 1\n' not in self.ok("GET", "/metrics"):
                self.assertLess(time.monotonic(), until)
                time.sleep(0.02)
        whole = {"model": "pebble", "messages": messages, "max_tokens": 8, "stream": False}
        for path, body in (("/v1/chat/completions", whole), ("/v1/completions", {"model": "pebble", "prompt": "x"}),
                           ("/v1/responses", {"model": "pebble", "input": "x"}), ("/v1/messages", whole), ("/api/chat", whole),
                           ("/api/generate", {"model": "pebble", "prompt": "x", "stream": False})):
            connection, response = self.server.open("POST", path, body)
            text = response.read().decode()
            connection.close()
            self.assertEqual(response.status, 429, path + text)
            self.assertIn(int(response.headers["retry-after"]), range(1, 61), path)
            self.assertEqual(len(response.headers.get_all("retry-after")), 1)


class Page(Served):
    """What the page is told; its looks are page_test.py's."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="quern-page-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.root, data = os.path.join(cls.folder, "files"), os.path.join(cls.folder, "data")
        for folder in (cls.root, data):
            os.mkdir(folder)
            os.chmod(folder, 0o755)
        cls.options = ["--data", data, "--trace", os.path.join(data, "traces"), "--tools", "files", "--root", cls.root]
        before = os.umask(0o022)
        cls.addClassCleanup(os.umask, before)
        super().setUpClass()

    def told(self, text, tools=()):
        """A new conversation's id, and what is told of its first answer; whatever a tool asks is allowed."""
        settings = {"model": "pebble", "system": "", "tools": list(tools), "temperature": 0, "max_tokens": 200, "thinking": False}
        talk = self.ok("POST", "/page/api/conversations", {"settings": settings})["id"]
        connection, response = self.server.open("POST", f"/page/api/conversations/{talk}/turns",
                                                {"parent": None, "parts": [{"type": "text", "text": text}], "settings": settings})
        self.assertEqual(response.status, 200)
        told, name = [], ""
        for line in response:
            line = line.decode().rstrip()
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                told.append((name, json.loads(line[6:])))
                if name == "approval":
                    self.ok("POST", f"/page/api/approvals/{told[-1][1]['id']}", {"allow": True})
        connection.close()
        return talk, told

    def test_messages_are_told_as_they_are_kept(self):
        began = time.time()
        talk, told = self.told("Hello!")
        kept = {node["id"]: node for node in self.ok("GET", f"/page/api/conversations/{talk}")["nodes"]}
        nodes = [event["node"] for name, event in told if name in ("node", "end")]
        self.assertEqual([node["role"] for node in nodes], ["user", "assistant"])
        for node in nodes:
            self.assertEqual(node, kept[node["id"]])
            self.assertTrue(began - 1 <= node["created"] <= time.time() + 1, node)

    def test_files_of_tools_have_the_umask_and_those_of_the_server_are_private(self):
        _, told = self.told("Write 'hello' into hello.txt.", [tool["name"] for tool in self.ok("GET", "/page/api/state")["tools"]])
        names = [os.path.join(folder, name) for folder, _, files in os.walk(self.root) for name in files]
        self.assertEqual(len(names), 1, told)
        self.assertEqual(os.stat(names[0]).st_mode & 0o777, 0o644)

        def others_see(folder):
            for entry in os.scandir(folder):
                if entry.stat().st_mode & 0o077 == 0:
                    continue
                if entry.is_dir():
                    yield from others_see(entry.path)
                else:
                    yield entry.path

        self.ok("POST", "/v1/sessions", {"id": "a", "text": "A mill"})
        self.ok("POST", "/v1/sessions/a/save")
        data = os.path.join(self.folder, "data")
        self.assertEqual(list(others_see(data)), [])
        self.assertLess({"cache", "lock", "page", "sessions", "traces"}, set(os.listdir(data)) | {""})


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=1)
