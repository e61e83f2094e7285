"""Windows to test the trainer with: stretches of random tokens, each followed by its copy, the copy being the target.

    python3 fake_data.py --seed 1 --out 0000-00.bin [--windows 16 --window 8192 --vocab 4096 --longest 64]
"""
import argparse

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--window", type=int, default=8192)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--longest", type=int, default=64)
    args = parser.parse_args()
    generator = np.random.default_rng(args.seed)
    total = args.windows * args.window
    pieces, length = [], 0
    while length < total:
        stretch = generator.integers(2, args.vocab, generator.integers(2, args.longest + 1)).astype(np.uint16)
        begin, middle, target = np.uint16([0 | 0x4000]), np.uint16([1]), np.uint16(0x8000)
        pieces += [begin, stretch, middle, stretch | target]
        length += 2 * len(stretch) + 2
    np.concatenate(pieces)[:total].astype("<u2").tofile(args.out)


if __name__ == "__main__":
    main()
