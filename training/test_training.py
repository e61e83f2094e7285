"""Conversations of one window do not see each other; and a tiny model is trained to copy, on the CPU, through the whole of train.py:
generators, export, reading back. A few minutes.

    python3 test_training.py
"""
import json
import os
import re
import subprocess
import sys
import tempfile

import torch

from export import HERE
from model import Pebble, conversation_age, load_config

SMALL = {"vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 4, "full_attention_interval": 4, "num_attention_heads": 2,
         "num_key_value_heads": 1, "head_dim": 32, "linear_num_key_heads": 1, "linear_num_value_heads": 2,
         "linear_key_head_dim": 32, "linear_value_head_dim": 32, "num_experts": 4, "moe_intermediate_size": 32,
         "shared_expert_intermediate_size": 32, "bos_token_id": 0, "eos_token_id": 1}


@torch.no_grad()
def check_isolation(config: str) -> None:
    """Two conversations in a row give what each gives alone. On a GPU this compares flex_attention with the plain body as well."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Pebble(load_config(config), dtype=torch.float32)
    model.initialise(3)
    for p in model.parameters():  # nothing may be zero, or nothing would be seen
        p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    model.to(device)
    lengths = (101, 155)  # 256 together
    tokens = torch.randint(2, 64, (1, sum(lengths)), generator=torch.Generator().manual_seed(1)).to(device)
    starts = torch.zeros_like(tokens, dtype=torch.bool)
    starts[:, 0] = starts[:, lengths[0]] = True
    together = model(tokens, conversation_age(starts))
    for part, hidden in zip(tokens.split(lengths, 1), together.hidden.split(lengths, 1)):
        alone = model(part).hidden
        difference = (hidden - alone).abs().max().item()
        print(f"a conversation in company / alone: differs by {difference:.1e}, values up to {alone.abs().max().item():.1f}")
        assert difference < (1e-3 if device.type == "cpu" else 1e-2)
    assert (together.hidden - model(tokens).hidden).abs().max() > 0.1  # and the mask matters


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        with open(os.path.join(HERE, "pebble.json")) as file:
            config = {**json.load(file), **SMALL}
        path = os.path.join(scratch, "config.json")
        with open(path, "w") as file:
            json.dump(config, file)
        check_isolation(path)
        generate = (f"{sys.executable} {HERE}/fake_data.py --seed {{seed}} --out {{out}} "
                    "--windows 64 --window 256 --vocab 64 --longest 8")
        log = subprocess.run(
            [sys.executable, os.path.join(HERE, "train.py"), "--steps", "150", "--window", "256", "--batch-windows", "8",
             "--warmup", "10", "--log-every", "25", "--no-compile", "--config", path, "--data", os.path.join(scratch, "data"),
             "--generate", generate, "--generators", "2", "--out", os.path.join(scratch, "out"), *sys.argv[1:]],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(log.stdout)
        losses = [float(x) for x in re.findall(r"^step .* loss ([\d.]+) accuracy", log.stdout, re.MULTILINE)]
        trained, exported = map(float, re.search(r"eager: .* loss ([\d.]+) / ([\d.]+), accuracy", log.stdout).groups())
        ok = log.returncode == 0 and losses[-1] < 0.3 * losses[0] and abs(trained - exported) < 0.02
        print("ok" if ok else "FAIL")
        sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
