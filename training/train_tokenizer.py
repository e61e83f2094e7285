"""Trains pebble's tokenizer: byte-level BPE as Qwen's, with the 26 added tokens at the end of the id range.

    python3 train_tokenizer.py CORPUS.jsonl --out tokenizer.json [--vocab 4096]     and tokenizer_config.json beside it

A corpus line is {"messages": [...], "tools": [...]}, with the rendered prompt in "text" if there is one. Added tokens are cut
out before training. Of pairs equally frequent the one with the lower ids is merged first: the same corpus gives the same file.
"""
import argparse
import heapq
import json
import os
import time
import unicodedata
from collections import Counter, defaultdict
from typing import Dict, Iterator, List, Set, Tuple

import regex

from export import CHAT_TEMPLATE, tokenizer_config, write_json

PIECES = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
# in the order of Qwen's ids; the flag is "special": left out of decoded text
ADDED = [(f"<|{name}|>", True) for name in (
    "endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start", "box_end", "quad_start", "quad_end",
    "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad")] + [(token, False) for token in (
        "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
        "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>")]

Pair = Tuple[int, int]


def byte_characters() -> Dict[int, str]:
    """The printable character that stands for each byte, in the order of GPT-2's ids."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    characters = {byte: chr(byte) for byte in plain}
    characters.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return characters


def texts(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            conversation = json.loads(line)
            if conversation.get("text"):
                yield conversation["text"]
                continue
            for tool in conversation.get("tools") or []:
                yield json.dumps(tool, ensure_ascii=False)
            for message in conversation["messages"]:
                yield f"{message['role']}\n{message.get('content') or ''}"
                for call in message.get("tool_calls") or []:
                    yield json.dumps(call.get("function", call), ensure_ascii=False)


def count_pieces(path: str) -> Counter:
    cut = regex.compile("|".join(regex.escape(token) for token, _ in ADDED))
    split, pieces = regex.compile(PIECES), Counter()
    for text in texts(path):
        for part in cut.split(text):
            pieces.update(split.findall(unicodedata.normalize("NFC", part)))
    return pieces


def train(pieces: Counter, size: int) -> Tuple[List[str], List[Tuple[str, str]], int]:
    """Returns the vocabulary in order of ids, the merges, and how many tokens the corpus now takes."""
    characters = byte_characters()
    vocab = list(characters.values())
    ids = {token: i for i, token in enumerate(vocab)}
    ordered = sorted(pieces.items())
    words = [[ids[characters[byte]] for byte in piece.encode()] for piece, _ in ordered]
    counts = [count for _, count in ordered]

    pair_counts: Dict[Pair, int] = defaultdict(int)
    where: Dict[Pair, Set[int]] = defaultdict(set)
    for w, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pair_counts[pair] += counts[w]
            where[pair].add(w)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)
    merges: List[Tuple[str, str]] = []
    while len(vocab) < size:
        if not heap:
            raise SystemExit(f"the corpus has only {len(vocab)} tokens to learn, {size} are wanted")
        negative, pair = heapq.heappop(heap)
        if pair_counts[pair] != -negative:  # an old entry; the current count, if any, is in the heap too
            continue
        token = vocab[pair[0]] + vocab[pair[1]]
        merges.append((vocab[pair[0]], vocab[pair[1]]))
        if token not in ids:
            ids[token] = len(vocab)
            vocab.append(token)
        changed = set()
        for w in where.pop(pair):
            old, new = words[w], merge(words[w], pair, ids[token])
            for other in zip(old, old[1:]):
                pair_counts[other] -= counts[w]
                changed.add(other)
            for other in zip(new, new[1:]):
                pair_counts[other] += counts[w]
                where[other].add(w)
                changed.add(other)
            words[w] = new
        for other in changed:
            if pair_counts[other] > 0 and other != pair:
                heapq.heappush(heap, (-pair_counts[other], other))
        del pair_counts[pair]
    return vocab, merges, sum(len(word) * count for word, count in zip(words, counts))


def merge(word: List[int], pair: Pair, token: int) -> List[int]:
    merged, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and word[i] == pair[0] and word[i + 1] == pair[1]:
            merged.append(token)
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return merged


def tokenizer_json(vocab: List[str], merges: List[Tuple[str, str]]) -> dict:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": len(vocab) + i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": special} for i, (token, special) in enumerate(ADDED)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": PIECES}, "behavior": "Isolated", "invert": False}, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(vocab)}, "merges": [list(pair) for pair in merges]}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--out", required=True)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--chat-template", default=CHAT_TEMPLATE)
    args = parser.parse_args()
    start = time.perf_counter()
    pieces = count_pieces(args.corpus)
    size = sum(len(piece.encode()) * count for piece, count in pieces.items())
    print(f"{size:,} bytes, {len(pieces):,} different pieces, {time.perf_counter() - start:.1f} s", flush=True)
    vocab, merges, tokens = train(pieces, args.vocab - len(ADDED))
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump(tokenizer_json(vocab, merges), file, ensure_ascii=False, indent=1)
        file.write("\n")
    write_json(os.path.dirname(args.out) or ".", "tokenizer_config.json", tokenizer_config(args.out, args.chat_template, 32768))
    print(f"{args.vocab} ids, {len(merges)} merges, {size / tokens:.2f} bytes a token, {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
