"""Checks a checkpoint folder: this forward pass against golden logits beside it, or against transformers.

    python3 verify.py FOLDER [--expected expected.safetensors]    input_ids, logits, mtp_logits; by default the folder's own
    python3 verify.py FOLDER --transformers                       any folder, float32, random tokens
"""
import argparse
import os
import sys

import torch
from torch import Tensor

from export import load_folder, read_safetensors

TOLERANCE = 1e-3  # of logits; float32 rounding moves transformers' own by up to 2e-4 on the fixtures


def compare(what: str, got: Tensor, want: Tensor) -> bool:
    difference = (got - want).abs().max().item()
    same = (got.argmax(-1) == want.argmax(-1)).float().mean().item()
    verdict = difference < TOLERANCE * max(1.0, want.std().item())
    print(f"{'ok  ' if verdict else 'FAIL'} {what}: max |difference| {difference:.2e}, deviation of the logits {want.std():.2f}, "
          f"same argmax {same:.2%}")
    return verdict


def check_tokenizer(folder: str, end: int) -> bool:
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "Hello, world 2024!\n\n\tdef f(x): return 'x' * 3  # é 日本語 🙂\n<tool_call>\n"
    ids = tokenizer(text).input_ids
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True, tokenize=False)
    ok = (tokenizer.decode(ids) == text and tokenizer.convert_tokens_to_ids("<|im_end|>") == end
          and prompt == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    print(f"{'ok  ' if ok else 'FAIL'} tokenizer in transformers: {len(text.encode())} bytes, {len(ids)} tokens, and back; {prompt!r}")
    return ok


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--expected", default="")
    parser.add_argument("--transformers", action="store_true")
    parser.add_argument("--tokens", type=int, default=300)
    args = parser.parse_args()
    model = load_folder(args.folder).eval()
    print(f"{args.folder}: {sum(p.numel() for p in model.parameters()):,} parameters")
    ok = True
    expected = args.expected or os.path.join(args.folder, "expected.safetensors")
    if os.path.exists(expected):
        want = read_safetensors(expected)
        out = model(want["input_ids"].long()[None])
        ok &= compare("golden logits", model.logits(out.hidden)[0], want["logits"])
        if "mtp_logits" in want:
            ok &= compare("golden mtp logits", model.logits(out.mtp_hidden)[0, :-1], want["mtp_logits"])
    elif not args.transformers:
        sys.exit("no expected.safetensors in the folder: use --transformers")
    if args.transformers:
        from transformers import AutoModelForCausalLM
        reference = AutoModelForCausalLM.from_pretrained(args.folder, dtype=torch.float32, attn_implementation="eager").eval()
        generator = torch.Generator().manual_seed(1)
        tokens = torch.randint(model.config.vocab_size, (1, args.tokens), generator=generator)
        ok &= compare("transformers", model.logits(model(tokens).hidden), reference(tokens, use_cache=False).logits)
        if os.path.exists(os.path.join(args.folder, "tokenizer.json")):
            ok &= check_tokenizer(args.folder, model.config.eos_token_id)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
