#!/usr/bin/env python3
"""Twenty requests as people write them, each on real files in a fresh folder, with the state or answer that must come of it.

    examples/requests/run.py [--quern build/quern] [--model DIR] [--more] [--at-least N]

They are never part of the embedded model's training data. Its makers have looked at what fails of requests.json, and chose between exports by
it; --more: twenty others, of more.json, by which nothing was chosen. Prints one line a request and the count; exit 1 when fewer than
--at-least were done.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def make(root, files):
    for name, text in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def tree(root):
    files, folders = {}, set()
    for place, below, names in os.walk(root):
        folders.update(os.path.relpath(os.path.join(place, name), root) for name in below)
        for name in names:
            path = os.path.join(place, name)
            with open(path, encoding="utf-8") as file:
                files[os.path.relpath(path, root)] = file.read()
    return files, folders


def same(expected, found):
    """The same files with the same text; a newline at the very end may be there or not."""
    return expected.keys() == found.keys() and all(found[name].rstrip("\n") == text.rstrip("\n") for name, text in expected.items())


def carry_out(quern, model, one):
    """Returns what is wrong, or an empty string."""
    with tempfile.TemporaryDirectory() as root:
        make(root, one["files"])
        command = [quern, "run", one["request"], "--root", root, "--yes", "--json", "--max-turns", "20"]
        done = subprocess.run(command + (["--model", model] if model else []), capture_output=True, text=True, timeout=300)
        end = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"status": "failed", "reason": done.stderr.strip()}
        if end["status"] != "success":
            return end.get("reason", "failed")
        files, folders = tree(root)
        if not same(one.get("after", one["files"]), files):
            return f"files: {files}"
        missing = [folder for folder in one.get("folders", []) if folder not in folders]
        if missing:
            return f"no folder {', '.join(missing)}"
        absent = [text for text in one.get("answer", []) if text not in end.get("answer", "")]
        return f"answered: {end.get('answer', '')}" if absent else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quern", default=os.path.join(HERE, "..", "..", "build", "quern"))
    parser.add_argument("--model", help="absent: the embedded one")
    parser.add_argument("--more", action="store_true", help="those of more.json")
    parser.add_argument("--at-least", type=int, default=18, metavar="N")
    args = parser.parse_args()
    with open(os.path.join(HERE, "more.json" if args.more else "requests.json"), encoding="utf-8") as file:
        requests = json.load(file)
    done = 0
    for one in requests:
        problem = carry_out(args.quern, args.model, one)
        done += not problem
        print(f"{'failed' if problem else 'done  '}  {one['request']}" + (f"\n        {problem[:300]}" if problem else ""), flush=True)
    print(f"{done} of {len(requests)} done")
    return 0 if done >= args.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
