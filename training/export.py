"""Checkpoint folders with published names: a model to bfloat16 safetensors shards, and back."""
import json
import os
import re
import shutil
import struct
from typing import Dict, List

import numpy as np
import torch
from torch import Tensor

from model import Pebble, load_config

HERE = os.path.dirname(os.path.abspath(__file__))
CHAT_TEMPLATE = os.path.join(HERE, "chat_template.jinja")
SHARD_BYTES = (14 << 20) - (64 << 10)  # of tensors; with the header a shard stays below 14 MiB
STACKED = re.compile(r"(.*\.mlp\.experts)\.(gate_proj|up_proj|down_proj)$")
PER_EXPERT = re.compile(r"(.*\.mlp\.experts)\.(\d+)\.(gate_proj|up_proj|down_proj)\.weight$")
DTYPES = {"F32": np.float32, "F16": np.float16, "I32": np.int32, "I64": np.int64, "BF16": np.uint16}


def published_tensors(model: Pebble) -> Dict[str, Tensor]:
    tensors = {}
    for name, tensor in model.state_dict().items():
        stacked = STACKED.match(name)
        if stacked:
            for e, expert in enumerate(tensor):
                tensors[f"{stacked[1]}.{e}.{stacked[2]}.weight"] = expert
        else:
            tensors[name] = tensor
    return tensors


def write_safetensors(path: str, tensors: Dict[str, Tensor]) -> None:
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [offset, offset + 2 * tensor.numel()]}
        offset += 2 * tensor.numel()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.detach().cpu().to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes())


def read_safetensors(path: str) -> Dict[str, Tensor]:
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        array = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = torch.from_numpy(array.copy()).reshape(entry["shape"])
    return tensors


def export_folder(model: Pebble, folder: str, config_path: str, tokenizer: str = "", chat_template: str = CHAT_TEMPLATE) -> int:
    """Writes the folder and returns its weights' bytes."""
    os.makedirs(folder, exist_ok=True)
    for stale in os.listdir(folder):
        if stale.startswith("model") and stale.endswith((".safetensors", ".json")):
            os.remove(os.path.join(folder, stale))
    shards: List[Dict[str, Tensor]] = [{}]
    sizes = [0]
    for name, tensor in published_tensors(model).items():
        if sizes[-1] + 2 * tensor.numel() > SHARD_BYTES and shards[-1]:
            shards.append({})
            sizes.append(0)
        shards[-1][name] = tensor
        sizes[-1] += 2 * tensor.numel()
    weight_map = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(os.path.join(folder, file), shard)
        weight_map.update({name: file for name in shard})
    write_json(folder, "model.safetensors.index.json", {"metadata": {"total_size": sum(sizes)}, "weight_map": weight_map})

    with open(config_path) as file:
        config = json.load(file)
    write_json(folder, "config.json", config)
    write_json(folder, "generation_config.json", {
        "bos_token_id": config["bos_token_id"], "pad_token_id": config["bos_token_id"],
        "eos_token_id": [config["eos_token_id"], config["bos_token_id"]],
        "do_sample": False})
    if tokenizer:
        shutil.copyfile(tokenizer, os.path.join(folder, "tokenizer.json"))
        write_json(folder, "tokenizer_config.json", tokenizer_config(tokenizer, chat_template, config["max_position_embeddings"]))
    return sum(sizes)


def tokenizer_config(tokenizer: str, chat_template: str, longest: int) -> dict:
    with open(tokenizer, encoding="utf-8") as file:
        added = json.load(file)["added_tokens"]
    flags = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    result = {
        "add_bos_token": False, "add_prefix_space": False,
        "added_tokens_decoder": {str(token["id"]): {flag: token[flag] for flag in flags} for token in added},
        "bos_token": None, "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "errors": "replace",
        "model_max_length": longest, "pad_token": "<|endoftext|>", "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer", "unk_token": None}
    if chat_template:
        with open(chat_template, encoding="utf-8") as file:
            result["chat_template"] = file.read()
    return result


def write_json(folder: str, name: str, value: dict) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def load_folder(folder: str, dtype: torch.dtype = torch.float32) -> Pebble:
    """A model from a checkpoint folder; every tensor must find its place, and every place its tensor."""
    index = os.path.join(folder, "model.safetensors.index.json")
    files = ["model.safetensors"]
    if os.path.exists(index):
        with open(index) as file:
            files = sorted(set(json.load(file)["weight_map"].values()))
    tensors: Dict[str, Tensor] = {}
    experts: Dict[str, Dict[int, Tensor]] = {}
    for file in files:
        for name, tensor in read_safetensors(os.path.join(folder, file)).items():
            one = PER_EXPERT.match(name)
            if one:
                experts.setdefault(f"{one[1]}.{one[3]}", {})[int(one[2])] = tensor
            else:
                tensors[name] = tensor
    for name, parts in experts.items():
        tensors[name] = torch.stack([parts[e] for e in range(len(parts))])
    model = Pebble(load_config(os.path.join(folder, "config.json")), any(n.startswith("mtp.") for n in tensors), dtype)
    model.load_state_dict(tensors, strict=True)
    return model
