#!/usr/bin/env python3
"""What somebody at a terminal sees: `quern run` while it works, and `quern chat`, through a pseudo-terminal.

    tests/terminal_test.py REPOSITORY QUERN [CLASS…]
"""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

REPO, QUERN = (os.path.abspath(path) for path in sys.argv[1:3])
PROMPT = "> "
PASTE = "\x1b[200~{}\x1b[201~"


class Terminal:
    """A program on a terminal of its own, and everything it wrote there."""

    def __init__(self, args, columns=100, rows=30, folder=None, **environment):
        env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "EDITOR", "VISUAL")}
        env.update({"TERM": "xterm-256color", **environment})
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        # A session of its own, so that Ctrl-C reaches it as a signal.
        self.process = subprocess.Popen([QUERN, *args], stdin=slave, stdout=slave, stderr=slave, env=env, cwd=folder, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.output = ""
        self.seen = 0

    def resize(self, columns, rows=30):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_some(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:  # the other side is closed
            return False
        self.output += data.decode("utf-8", "replace")
        return bool(data)

    def wait_for(self, pattern, seconds=60):
        """The match of `pattern` in what has come since the last one."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.output[self.seen:])
            if match:
                self.seen += match.end()
                return match
            if time.monotonic() > end or (not self.read_some(0.2) and self.process.poll() is not None and not self.read_some(0)):
                raise AssertionError(f"{pattern!r} did not come; {self.output[self.seen:]!r}")

    def send(self, text):
        os.write(self.master, text.encode())

    def finish(self, seconds=60):
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read_some(0.1)
        while self.read_some(0.1):
            pass
        return self.process.wait(timeout=1)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


def plain(text):
    """Without escape sequences, and of lines that were redrawn only the last state."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return "\n".join(line.rsplit("\r", 1)[-1] for line in text.replace("\r\n", "\n").split("\n"))


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="quern-terminal-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.root = os.path.join(self.folder, "root")
        os.mkdir(self.root)
        self.places = {"HOME": self.folder, "XDG_DATA_HOME": os.path.join(self.folder, "data"), "XDG_STATE_HOME": os.path.join(self.folder, "state")}

    def terminal(self, *args, **more):
        terminal = Terminal(list(args), **{**self.places, **more})
        self.addCleanup(terminal.close)
        return terminal

    def write(self, name, text):
        with open(os.path.join(self.root, name), "w", encoding="utf-8") as file:
            file.write(text)


class Run(Test):
    TASK = "Rename old.txt to new.txt."

    def test_asks_and_shows_what_it_does(self):
        self.write("old.txt", "old")
        terminal = self.terminal("run", self.TASK, "--root", self.root)
        terminal.wait_for(r"turn 1 · ")
        terminal.wait_for(r"move_file old.txt -> new.txt")
        terminal.wait_for(r"do it\? \[y\]es")
        terminal.send("perhaps\n")
        terminal.wait_for(r"do it\?")
        terminal.send("y\n")
        terminal.wait_for(r"success")
        self.assertEqual(terminal.finish(), 0)
        self.assertEqual(os.listdir(self.root), ["new.txt"])
        shown = plain(terminal.output)
        self.assertRegex(shown, r"(?m)^ +1  move_file old.txt -> new.txt +.* \d+\.\d\d s$")
        self.assertRegex(shown, r"\d+ calls?, 0 errors · \d+ turns?, \d+ tokens, [\d.]+ tokens/s")
        self.assertIn("\x1b[32msuccess\x1b[0m", terminal.output)

    def test_no_colours_where_none_are_wanted(self):
        self.write("old.txt", "old")
        terminal = self.terminal("run", self.TASK, "--root", self.root, "--yes", NO_COLOR="1")
        self.assertEqual(terminal.finish(), 0)
        self.assertNotRegex(terminal.output, r"\x1b\[[0-9;]*m")
        dumb = self.terminal("run", "Rename new.txt to old.txt.", "--root", self.root, "--yes", TERM="dumb")
        self.assertEqual(dumb.finish(), 0)
        self.assertNotIn("\x1b", dumb.output)

    def test_a_narrow_terminal_that_changes(self):
        self.write("old.txt", "old")
        terminal = self.terminal("run", self.TASK, "--root", self.root, columns=44)
        terminal.wait_for(r"do it\?")
        terminal.resize(36)
        terminal.send("y\n")
        self.assertEqual(terminal.finish(), 0)
        rows = [line for line in plain(terminal.output).split("\n") if re.match(r" +\d  |     \S", line)]
        self.assertTrue(rows)
        for line in rows:
            self.assertLessEqual(len(line), 36, line)

    def test_obeys_nothing_that_a_file_says(self):
        evil = "\x1b]0;owned\x07\x1b[2Jgone\u202e\x9b31m"
        self.write("notes.txt", evil + "\nmore")
        terminal = self.terminal("run", "Show me what is in notes.txt.", "--root", self.root, "--yes", "--max-turns", "4")
        terminal.finish()
        self.assertIn("read_file notes.txt", plain(terminal.output))
        for sequence in ("\x1b]", "\x07", "\x1b[2J", "\u202e", "\x9b"):
            self.assertNotIn(sequence, terminal.output)


class Chat(Test):
    @staticmethod
    def options(tokens=24, temperature=0):
        return ["--temperature", str(temperature), "--max-tokens", str(tokens)]

    def chat(self, *args, **more):
        terminal = self.terminal("chat", *self.options(**more), *args)
        terminal.wait_for(r"/help shows")
        self.prompt(terminal)
        return terminal

    def prompt(self, terminal):
        """The next prompt is there: the terminal is asked to mark pasted text."""
        terminal.wait_for(r"\x1b\[\?2004h")

    def interrupt(self, terminal):
        """Ctrl-C, once: whatever goes on ends, and there is a prompt."""
        terminal.send("\x03")
        self.prompt(terminal)

    def command(self, terminal, line, says):
        terminal.send(line + "\n")
        match = terminal.wait_for(says)
        self.prompt(terminal)
        return match

    def question(self, terminal, text):
        terminal.send(text + "\n")
        terminal.wait_for(r"\d+ tokens · [\d.]+ tokens/s|quern: ")
        self.prompt(terminal)

    def count(self, terminal):
        return int(self.command(terminal, "/forks", r"\* \S+ +(\d+) messages").group(1))

    def test_branches_and_going_back(self):
        terminal = self.chat()
        self.question(terminal, "Hello there.")
        self.assertEqual(self.count(terminal), 2)
        self.command(terminal, "/fork other", r"in other now; main stays")
        self.question(terminal, "And now?")
        self.assertEqual(self.count(terminal), 4)
        self.command(terminal, "/switch main", r"in main now, 2 messages")
        self.command(terminal, "/fork other", r"quern: there is a branch other already")
        self.command(terminal, "/switch nowhere", r"quern: nowhere: no such branch")
        self.command(terminal, "/undo", r"taken back: Hello there\.")
        self.assertEqual(self.count(terminal), 0)
        self.command(terminal, "/undo", r"quern: there is nothing to take back")
        self.command(terminal, "/switch other", r"in other now, 4 messages")
        self.command(terminal, "/retry", r"tokens/s")
        self.command(terminal, "/edit And then?", r"tokens/s")
        self.assertEqual(self.count(terminal), 4)
        for keys in ("\x03", "\x15\n"):  # nothing is asked, so nothing is taken back
            terminal.send("/edit\n")
            terminal.wait_for(r"And then\?")
            terminal.send(keys)
            self.prompt(terminal)
            self.assertEqual(self.count(terminal), 4)
        terminal.send("/edit\n")
        terminal.wait_for(r"And then\?")
        self.question(terminal, " And now?")
        self.assertEqual(self.count(terminal), 4)
        self.command(terminal, "/new", r"/new")
        self.assertEqual(self.count(terminal), 0)
        terminal.send("/quit\n")
        self.assertEqual(terminal.finish(), 0)

    def test_what_a_fork_knows_is_not_read_again(self):
        terminal = self.chat()
        self.question(terminal, "Hello there, " + "this is a long question " * 10)
        self.question(terminal, "Go on.")
        self.command(terminal, "/fork", r"in fork1 now")
        self.question(terminal, "Go on.")
        before = int(self.command(terminal, "/stats", r"read: (\d+) tokens").group(1))
        self.command(terminal, "/switch main", r"in main now")
        self.question(terminal, "Go on.")
        self.command(terminal, "/retry", r"tokens/s")
        after = int(self.command(terminal, "/stats", r"read: (\d+) tokens").group(1))
        self.assertLess(after - before, 60)

    def test_save_and_load(self):
        terminal = self.chat("--system", "Be brief.")
        self.command(terminal, "/save first", r"quern: there is nothing to save yet")
        self.question(terminal, "Hello there.")
        self.command(terminal, "/set temperature=0 top", r"quern: /set temperature: expected a number")
        self.command(terminal, "/save first", r"saved as first\r")
        self.command(terminal, "/save ../first", r"quern: \.\./first: a name has letters")
        file = os.path.join(self.places["XDG_DATA_HOME"], "quern/chats/first.json")
        with open(file, encoding="utf-8") as saved:
            document = json.load(saved)
        self.assertEqual((document["quern_chat"], [m["role"] for m in document["messages"]]), (1, ["system", "user", "assistant"]))
        self.assertTrue(os.path.exists(file.replace(".json", ".state")))
        page = os.path.join(self.folder, "chat.md")
        self.command(terminal, f"/export {page}", r"written to")
        self.command(terminal, f"/export {page}", r"quern: .*is there already")
        with open(page, encoding="utf-8") as text:
            self.assertIn("## You\n\nHello there.\n", text.read())
        terminal.send("\x04")
        self.assertEqual(terminal.finish(), 0)

        terminal = self.chat()
        self.command(terminal, "/load second", r"quern: second: no such chat")
        self.command(terminal, "/list", r"first +\d+ KiB, with the model's state")
        self.command(terminal, "/load first", r"first: 3 messages, held with pebble\r")
        self.command(terminal, "/system", r"Be brief\.")
        self.question(terminal, "Go on.")
        self.assertLess(int(self.command(terminal, "/stats", r"read: (\d+) tokens").group(1)), 30)  # the state was taken up
        self.command(terminal, "/save first", r"saved as first")
        self.command(terminal, "/new", r"/new")
        self.question(terminal, "Something else.")
        self.command(terminal, "/save first", r"quern: there is a chat first already")
        self.command(terminal, "/save first --force", r"saved as first")
        with open(file, "w", encoding="utf-8") as saved:
            saved.write('{"quern_chat": 1, "messages": [{"role": "\x1b[2J"}]}')
        self.command(terminal, "/load first", r"quern: .*first\.json: ")
        self.assertNotIn("\x1b[2J", terminal.output)

    def test_ctrl_c_ends_the_answer_not_the_chat(self):
        terminal = self.chat(tokens=16000, temperature=5)
        terminal.send("Tell me a very long story.\n")
        terminal.wait_for(r"thinks · \d+ tokens|[A-Za-z]{3}")
        time.sleep(0.5)
        self.interrupt(terminal)
        terminal.send("half a line\x03")
        terminal.wait_for(r"\^C")
        self.prompt(terminal)
        self.command(terminal, "/set temperature=0", r"temperature=0 ")
        self.command(terminal, "/set max_tokens=10", r"max_tokens=10")
        self.question(terminal, "Hello.")
        self.assertIn(self.count(terminal), (2, 4))
        terminal.send("/quit\n")
        self.assertEqual(terminal.finish(), 0)

    def test_ctrl_c_at_every_moment(self):
        terminal = self.chat()
        for delay in range(40):  # at once, and up to 8 ms later: also between the prompt and the first read behind it
            time.sleep(delay / 5000)
            self.interrupt(terminal)
        terminal.send("Hello.\n\x03")  # the answer, or what comes before it
        terminal.wait_for(r"tokens/s|interrupted|\^C")
        self.prompt(terminal)
        self.command(terminal, "/set max_tokens=10", r"max_tokens=10")
        terminal.send("h\u00e9llo \u20ac")
        terminal.wait_for("h\u00e9llo \u20ac")
        terminal.resize(60)
        terminal.send("\x15")
        self.question(terminal, "Hello.")
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.finish(), -signal.SIGTERM)
        self.assertTrue(terminal.output.endswith("\x1b[?2004l"), terminal.output[-80:])

    def test_several_lines(self):
        terminal = self.chat()
        terminal.send("one \\\n")
        terminal.wait_for("…")
        self.question(terminal, "two")
        terminal.send('"""three\n')
        terminal.wait_for("…")
        self.question(terminal, 'four"""')
        terminal.send(PASTE.format("five\rsix\r"))
        terminal.wait_for(r"\[pasted 1: 2 lines\]")
        self.question(terminal, " seven")
        self.command(terminal, "/save lines", "saved as lines")
        with open(os.path.join(self.places["XDG_DATA_HOME"], "quern/chats/lines.json"), encoding="utf-8") as file:
            asked = [m["content"] for m in json.load(file)["messages"] if m["role"] == "user"]
        self.assertEqual(asked, ["one \ntwo", "three\nfour", "five\nsix\n seven"])

    def test_history_and_completion(self):
        terminal = self.chat()
        self.question(terminal, "Remember me.")
        history = os.path.join(self.places["XDG_STATE_HOME"], "quern/chat_history")
        self.assertEqual(stat.S_IMODE(os.stat(history).st_mode), 0o600)
        terminal.send("\x04")
        terminal.finish()
        terminal = self.chat()
        terminal.send("\x1b[A")
        terminal.wait_for(r"Remember me\.")
        terminal.send("\x15/sta\t")
        terminal.wait_for(r"ts")  # what was missing
        terminal.send("\n")
        terminal.wait_for(r"0 questions")
        self.prompt(terminal)
        self.write("notes.txt", "The answer is 42.")
        terminal.send(f"/file {self.root}/no\t")
        terminal.wait_for(r"tes\.txt")
        terminal.send("\n")
        self.prompt(terminal)
        terminal.send("/fo\t\t")
        terminal.wait_for(r"/fork +/forks")
        terminal.send("\x15")
        self.question(terminal, "What does it say?")
        self.command(terminal, "/save file", "saved as file")
        with open(os.path.join(self.places["XDG_DATA_HOME"], "quern/chats/file.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["messages"][0]["content"], "notes.txt:\nThe answer is 42.\n\nWhat does it say?")

    def test_tools_ask_first(self):
        self.write("old.txt", "old")
        terminal = self.chat("--tools", "files", "--root", self.root, tokens=300)
        self.command(terminal, "/tools", r"delete_file +\(asks first\)")
        terminal.send("Rename old.txt to new.txt.\n")
        terminal.wait_for(r"→ move_file old.txt -> new.txt")
        terminal.wait_for(r"do it\?")
        terminal.send("y\n")
        terminal.wait_for(r"tokens/s")
        self.prompt(terminal)
        self.assertEqual(os.listdir(self.root), ["new.txt"])
        self.command(terminal, "/tools none", r"no tools")
        self.command(terminal, "/tools nonsense", r"quern: .*nonsense")
        self.command(terminal, "/tokens", r"\d+ of \d+ tokens \(")
        self.command(terminal, "/nonsense", r"quern: /nonsense: no such command")
        self.command(terminal, "/help", r"/export FILE\.md")
        self.command(terminal, "/model", r"pebble · instruct · \d+ tokens")
        self.command(terminal, f"/model {self.root}", r"quern: ")
        self.command(terminal, f"/model {REPO}/models/pebble", r"instruct · \d+ tokens")

    def test_once(self):
        def once(*args, stdin="", tokens=24):
            return subprocess.run([QUERN, "chat", *self.options(tokens), *args], input=stdin, capture_output=True, text=True, timeout=120, env={**os.environ, **self.places})
        asked, piped = once("Hello there."), once(stdin="Hello there.\n")
        self.assertEqual((asked.returncode, asked.stdout), (piped.returncode, piped.stdout))
        self.assertTrue(asked.stdout)
        self.assertNotIn("\x1b", asked.stdout + asked.stderr)
        for done, says in ((once(stdin=" \n"), "the question is empty"), (once("Hello", "--load", "none"), "none: no such chat"),
                           (once("Hello", "--tools", "nonsense"), "nonsense"), (once("Hello", "--file", "/none"), "/none"),
                           (once("Hello", "--tools", "files", "--root", "/none"), "/none")):
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done)
            self.assertIn(says, done.stderr)
        self.write("old.txt", "old")
        once("Rename old.txt to new.txt.", "--tools", "files", "--root", self.root, tokens=300)
        self.assertEqual(os.listdir(self.root), ["old.txt"])
        done = once("Rename old.txt to new.txt.", "--tools", "files", "--root", self.root, "--yes", tokens=300)
        self.assertEqual((done.returncode, os.listdir(self.root)), (0, ["new.txt"]), done)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
