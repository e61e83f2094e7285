#!/usr/bin/env python3
"""The true layer shapes of the 80B model against the reference: 4 layers, 7.2 B procedural weights, 14.4 GB of bf16. Too large for
./check; run it after a change of the forward pass, on a machine with 16 GB of memory and of disk.

    tests/slice4_check.py FOLDER [--quern build/quern] [-t THREADS]      FOLDER: where the model is, or will be made
"""
import argparse
import array
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "slice4")
CODES = {"F32": "f", "I32": "i", "I64": "q"}


def tensors(path):
    """{name: (values, shape)}, flat."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data, found = file.read(), {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            found[name] = (array.array(CODES[entry["dtype"]], data[begin:end]), entry["shape"])
    return found


def top_sets_differ(expected_ids, expected_logits, row, count):
    """Whether the `count` likeliest ids differ as a set where the gap below a rank is more than 0.05."""
    best = sorted(range(len(row)), key=row.__getitem__, reverse=True)[:count]
    return any(expected_logits[k - 1] - expected_logits[k] > 0.05 and set(best[:k]) != set(expected_ids[:k]) for k in range(1, count))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--quern", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "quern"))
    parser.add_argument("-t", "--threads", default="0")
    args = parser.parse_args()
    more = ["-t", args.threads] if args.threads != "0" else []
    expected = tensors(os.path.join(DATA, "expected.safetensors"))
    ids = ",".join(map(str, expected["input_ids"][0]))
    if not os.path.exists(os.path.join(args.folder, "config.json")):
        subprocess.run([args.quern, "synth", "slice4", args.folder], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out.safetensors")
        subprocess.run([args.quern, "logits", "--model", args.folder, "--tokens", ids, "--hidden", "--out", out, *more], check=True)
        got = tensors(out)
    logits, (tokens, vocabulary) = got["logits"]
    layers, _, hidden = got["hidden_states"][1]

    # The file holds the first 16,384 of the last position's logits; its likeliest are among top_logits anyway.
    last = max(abs(a - b) for a, b in zip(expected["logits_last"][0], logits[(tokens - 1) * vocabulary:]))
    width = expected["top_ids"][1][1]
    wrong = sum(top_sets_differ(expected["top_ids"][0][t * width:(t + 1) * width], expected["top_logits"][0][t * width:(t + 1) * width],
                                logits[t * vocabulary:(t + 1) * vocabulary], width) for t in range(tokens))
    norms = 0.0
    for row in range(layers * tokens):
        norm = math.sqrt(sum(x * x for x in got["hidden_states"][0][row * hidden:(row + 1) * hidden]))
        norms = max(norms, abs(norm / expected["hidden_norms"][0][row] - 1))
    greedy = list(expected["greedy_ids"][0])
    done = subprocess.run([args.quern, "generate", "--model", args.folder, "--tokens", ids, "--max-tokens", str(len(greedy)), "--ignore-eos", "--kv", "f32", "--json", *more],
                          check=True, capture_output=True, text=True)
    same = [a == b for a, b in zip(json.loads(done.stdout)["tokens"], greedy)]
    agreed = same.index(False) if False in same else len(same)
    results = [("last logits: largest difference", last, last <= 2e-2), (f"positions whose top {width} differ as a set", wrong, wrong == 0),
               ("hidden norms: largest relative difference", norms, norms <= 1e-3), (f"greedy tokens that agree, of {len(greedy)}", agreed, True)]
    for what, value, good in results:
        print(f"{'ok    ' if good else 'FAILED'} {what}: {value:.3g}")
    return 0 if all(good for _, _, good in results) else 1


if __name__ == "__main__":
    sys.exit(main())
