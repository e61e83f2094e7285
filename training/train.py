"""Trains pebble on one GPU or several (or, for tests, on a CPU) and exports a checkpoint folder.

    python3 train.py --steps 4000 --out OUT --data SCRATCH --generate 'COMMAND {seed} {out}'
    torchrun --nproc-per-node 2 train.py ...       a process per GPU, each with windows of its own; gradients are averaged

The schedule counts steps: a short warm-up, a constant rate, a linear decay over the second half. Only if the steps turn out not to
fit before --deadline-s is it shortened, so that the decay still ends at zero. SIGTERM ends training at the next line of
its log and exports.
"""
import argparse
import os
import signal
import time
from typing import Callable, Dict, List, Tuple

import torch
import torch.distributed as distributed
from torch import Tensor

import delta_rule
import model as model_module
from data import Generators, Windows
from export import CHAT_TEMPLATE, HERE, export_folder, load_folder
from model import Pebble, load_config
from muon import Muon, split_parameters


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--steps", type=int, required=True)
    add("--out", required=True, help="folder to export to")
    add("--data", required=True, help="folder with *.bin files in subfolder 0 (1, 2, ... for more GPUs), each deleted once read")
    add("--generate", default="", help="shell command writing one file, with {seed} and {out} in it")
    add("--generators", type=int, default=14, help="processes that run it, for each GPU")
    add("--config", default=os.path.join(HERE, "pebble.json"))
    add("--init", default="", help="folder to go on from, as exported; absent: from nothing")
    add("--tokenizer", default="")
    add("--chat-template", default=CHAT_TEMPLATE)
    add("--batch-windows", type=int, default=12, help="of each GPU")
    add("--window", type=int, default=8192)
    add("--seed", type=int, default=1)
    add("--muon-lr", type=float, default=0.02)
    add("--adam-lr", type=float, default=3e-3)
    add("--warmup", type=int, default=40)
    add("--clip", type=float, default=1.0, help="gradient norm of AdamW's parameters")
    add("--mtp-weight", type=float, default=0.1)
    add("--mtp-joint", action="store_true", help="let the draft's gradient into the trunk's hidden states")
    add("--balance-weight", type=float, default=0.01)
    add("--prompt-weight", type=float, default=0.02, help="of tokens that are neither targets nor padding")
    add("--log-every", type=int, default=50)
    add("--save-at", type=int, nargs="*", default=[], help="steps after which to export to OUT-STEP as well")
    add("--deadline-s", type=float, default=float("inf"), help="seconds from the start by which training is over")
    add("--compile", choices=("whole", "layers", "none"), default="whole")
    add("--no-compile", dest="compile", action="store_const", const="none")
    add("--compile-mode", default="default")
    add("--kernels", choices=("auto", "torch"), default="auto", help="torch: without Triton's in the delta rule")
    add("--matmul-precision", choices=("highest", "high"), default="high", help="of float32 products; high is TF32")
    return parser.parse_args()


class Schedule:
    """Factor of the learning rates at steps 0 .. end - 1: warm-up, constant, linear decay over the second half."""

    def __init__(self, steps: int, warmup: int):
        self.end, self.warmup, self.decay_from, self.height = steps, max(1, warmup), steps // 2, 1.0

    def decay(self, step: int) -> float:
        return self.height * min(1.0, (self.end - step) / (self.end - self.decay_from))

    def factor(self, step: int) -> float:
        return min(self.decay(step), (step + 1) / self.warmup)

    def shorten(self, step: int, end: int) -> None:
        """End earlier: the decay starts at the new half, or here if that is past, from the rate now."""
        self.height, self.decay_from = self.decay(step), max(step, min(self.decay_from, end // 2))
        self.end = end


class Team:
    """The processes that train together, one per GPU: all hold the same weights and take the same steps. Rank 0 speaks and exports."""

    def __init__(self) -> None:
        self.size, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        if torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        else:
            self.device = torch.device("cpu")
        if self.size > 1:
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    def say(self, text: str) -> None:
        if self.rank == 0:
            print(text, flush=True)

    def average(self, parameters: List[torch.nn.Parameter]) -> None:
        if self.size == 1:
            return
        flat = torch.cat([p.grad.flatten() for p in parameters])
        distributed.all_reduce(flat)
        flat /= self.size
        for p, grad in zip(parameters, flat.split([p.numel() for p in parameters])):
            p.grad.copy_(grad.view_as(p.grad))

    def agreed(self, value: float) -> float:
        """Rank 0's."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return shared.item()


def compiled_losses(model: Pebble, scope: str, mode: str) -> Callable[[Tensor, Tensor], Dict[str, Tensor]]:
    """whole: one graph, the fastest; layers: each kind of layer once, quicker to compile."""
    if scope == "whole":
        return torch.compile(model.losses, mode=mode, dynamic=False)
    if scope == "layers":
        for layer in [*model.model.layers, *model.mtp.layers]:
            layer.compile(mode=mode, dynamic=False)
        model_module.next_token_losses = torch.compile(model_module.next_token_losses, mode=mode, dynamic=False)
    return model.losses


def train(args: argparse.Namespace, model: Pebble, windows: Windows, team: Team) -> Tuple[Tensor, Dict[str, Tensor]]:
    """Trains; returns the last batch and what was measured on it, before its step."""
    device = team.device
    matrices, rest = split_parameters(model)
    muon = Muon(matrices)
    adam = torch.optim.AdamW(rest, lr=args.adam_lr, betas=(0.9, 0.95), weight_decay=0.0,
                             **({"fused": True} if device.type == "cuda" else {}))
    losses = compiled_losses(model, args.compile, args.compile_mode)
    prompt_weight = torch.tensor(args.prompt_weight, device=device)
    tokens_per_step = team.size * args.batch_windows * args.window
    schedule, terminated = Schedule(args.steps, args.warmup), []
    signal.signal(signal.SIGTERM, lambda *_: terminated.append(True))
    begin = since = first_done = time.perf_counter()
    sums: Dict[str, Tensor] = {}
    counted = skipped = done = 0
    batch = windows.next().to(device, non_blocking=True)
    while done < schedule.end:
        result = losses(batch, prompt_weight)
        total = result["objective"] + args.balance_weight * result["balance"]
        if "mtp_objective" in result:
            total = total + args.mtp_weight * result["mtp_objective"]
        total.backward()
        last, batch = batch, windows.next().to(device, non_blocking=True)
        team.average([*matrices, *rest])

        norm = torch.nn.utils.clip_grad_norm_(matrices, float("inf")) + torch.nn.utils.clip_grad_norm_(rest, args.clip)
        if torch.isfinite(norm):
            factor = schedule.factor(done)
            for group in adam.param_groups:
                group["lr"] = args.adam_lr * factor
            adam.step()
            muon.step(args.muon_lr * factor)
        else:
            skipped += 1
        adam.zero_grad(set_to_none=True)
        for p in matrices:
            p.grad = None

        for name, value in result.items():
            sums[name] = sums.get(name, 0) + value.detach()
        counted += 1
        done += 1
        if done == 1:
            loss = result["loss"].item()
            since = first_done = time.perf_counter()
            team.say(f"first step, compilation included: {since - begin:.1f} s, loss {loss:.3f}")
        elif done % args.log_every == 0 or done == schedule.end:
            means = " ".join(f"{name} {value.item() / counted:.4f}" for name, value in sums.items())
            now = time.perf_counter()
            speed = (counted - (counted == done)) * tokens_per_step / (now - since)
            memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0
            team.say(f"step {done}/{schedule.end} {means} norm {norm.item():.2f} | {speed / 1e3:.0f}k tok/s, {memory:.1f} GiB, "
                     f"{now - begin:.0f} s of {now - begin + (schedule.end - done) * tokens_per_step / speed:.0f}, "
                     f"reused {windows.reused}, skipped {skipped}")
            sums, counted, since = {}, 0, now
            left = 0.98 * (args.started + args.deadline_s - now) / ((now - first_done) / (done - 1))  # in steps
            left = team.agreed(-1 if terminated else left)
            if left < 0:
                team.say(f"stopped after {done} of {schedule.end} steps")
                schedule.end = done
            elif left < schedule.end - done:
                schedule.shorten(done, done + max(1, int(left)))
                team.say(f"{schedule.end} steps fit before the deadline: decay from step {schedule.decay_from}, "
                         f"rate {schedule.height:.2f}")
        if done in args.save_at and team.rank == 0:
            export(args, model, f"{args.out}-{done}")
    team.say(f"{done} steps, {done * tokens_per_step / 1e6:.1f} M tokens, {time.perf_counter() - begin:.0f} s, "
             f"{windows.reused} batches reused, {skipped} steps skipped")
    return last, result


def export(args: argparse.Namespace, model: Pebble, folder: str) -> None:
    size = export_folder(model, folder, args.config, args.tokenizer, args.chat_template)
    print(f"exported {size:,} bytes of weights to {folder}", flush=True)


@torch.no_grad()
def check_export(args: argparse.Namespace, dtype: torch.dtype, batch: Tensor, trained: Dict[str, Tensor]) -> None:
    """The exported folder, read back and run without the compiler, on the last batch: the last step's rate is next to nothing,
    so the numbers must be those of training."""
    model = load_folder(args.out, dtype).to(batch.device)
    exported = model.losses(batch, torch.tensor(args.prompt_weight, device=batch.device))
    print("last batch, trained / exported and eager: " +
          ", ".join(f"{name} {trained[name].item():.5f} / {exported[name].item():.5f}" for name in trained), flush=True)


def main() -> None:
    args = arguments()
    args.started = time.perf_counter()
    team = Team()
    device = team.device
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision(args.matmul_precision)
    data = os.path.join(args.data, str(team.rank))
    os.makedirs(data, exist_ok=True)
    seed = (args.seed * team.size + team.rank) * 1_000_000
    generators = Generators(args.generate, data, args.generators, seed) if args.generate else None
    try:
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        model = load_folder(args.init, dtype) if args.init else Pebble(load_config(args.config), dtype=dtype)
        if not args.init:
            model.initialise(args.seed)
        model.mtp_reaches_trunk = args.mtp_joint
        model.to(device)
        total, in_mtp = (sum(p.numel() for p in module.parameters()) for module in (model, model.mtp))
        team.say(f"{total:,} parameters, {in_mtp:,} in the MTP block; {team.size} x {device.type}, torch {torch.__version__}")
        if args.kernels == "auto":
            team.say(f"delta rule: {delta_rule.choose_kernels(device)}")
        windows = Windows(data, args.window, args.batch_windows, model.config.vocab_size, args.seed, generators,
                          pinned=device.type == "cuda")
        last, measured = train(args, model, windows, team)
    finally:
        if generators is not None:
            generators.stop()
    if team.rank == 0:
        export(args, model, args.out)
        check_export(args, model.dtype, last, measured)
    if team.size > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
