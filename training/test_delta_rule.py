"""The chunked delta rule against the definition, outputs and gradients; on a GPU also the Triton kernels, and their speed.

    python3 test_delta_rule.py           float64 on the CPU, seconds
    python3 test_delta_rule.py --cuda    the above, then the kernels at training shapes
"""
import argparse
import sys
import time
from typing import Callable, List, Tuple

import torch
from torch import Tensor

import delta_rule
from model import l2_norm


def token_by_token(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Tensor:
    group = v.shape[2] // k.shape[2]
    q, k = q.repeat_interleave(group, 2), k.repeat_interleave(group, 2)
    state = v.new_zeros(v.shape[0], v.shape[2], k.shape[3], v.shape[3])
    outputs = []
    for t in range(v.shape[1]):
        state = state * g[:, t].exp()[..., None, None]
        d = beta[:, t, :, None] * (v[:, t] - torch.einsum("bhkv,bhk->bhv", state, k[:, t]))
        state = state + k[:, t, :, :, None] * d[:, :, None, :]
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return torch.stack(outputs, 1)


def random_inputs(batch: int, tokens: int, k_heads: int, v_heads: int, k_dim: int, v_dim: int, alike: float, decay: float,
                  dtype: torch.dtype, device: str) -> List[Tensor]:
    """alike: how much all keys share one direction; decay: the strongest g, met at every seventh token."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    q, k = normal(batch, tokens, k_heads, k_dim), normal(batch, tokens, k_heads, k_dim)
    q, k = l2_norm(q) * k_dim ** -0.5, l2_norm(alike * normal(1, 1, k_heads, k_dim) + (1 - alike) * k)
    g = -0.1 * normal(batch, tokens, v_heads).abs()
    g[:, 3::7] = decay
    beta = torch.sigmoid(normal(batch, tokens, v_heads))
    v = normal(batch, tokens, v_heads, v_dim)
    return [x.to(device, dtype).requires_grad_() for x in (q, k, v, g, beta)]


def with_gradients(rule: Callable, inputs: List[Tensor]) -> List[Tensor]:
    inputs = [x.detach().requires_grad_() for x in inputs]
    out = rule(*inputs)
    weight = torch.cos(torch.arange(out.numel(), device=out.device, dtype=out.dtype)).view_as(out)
    return [out.detach(), *torch.autograd.grad((out * weight).sum(), inputs)]


def report(what: str, got: List[Tensor], want: List[Tensor], bound: float) -> bool:
    errors = [((a - b).abs().max() / b.abs().max()).item() for a, b in zip(got, want)]
    ok = all(error < bound for error in errors)  # NaN is not
    listed = " ".join(f"{e:.0e}" for e in errors)
    print(f"{'ok  ' if ok else 'FAIL'} {what}: relative errors of out, dq, dk, dv, dg, dbeta {listed}")
    return ok


def seconds(f: Callable) -> Tuple[float, float]:
    """First call (with compilation) and the median of later ones."""
    times = []
    for _ in range(12):
        torch.cuda.synchronize()
        start = time.perf_counter()
        f()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return times[0], sorted(times[2:])[5]


def gpu_checks() -> bool:
    chosen = delta_rule.choose_kernels(torch.device("cuda"))
    print(f"chosen: {chosen}")
    kernels = delta_rule.precision
    small = random_inputs(2, 1024, 2, 4, 64, 64, 0.9, -5.0, torch.float64, "cuda")
    want = with_gradients(delta_rule.gated_delta_rule, small)
    single = [x.float() for x in small]
    ok = True
    for precision, tf32, bound in ((None, False, 1e-4), (kernels, False, 1e-4), (kernels, True, 5e-2)):
        delta_rule.precision = precision
        torch.backends.cuda.matmul.allow_tf32 = tf32
        got = with_gradients(delta_rule.gated_delta_rule, single)
        ok &= report(f"float32, kernels {precision}, tf32 matmuls {tf32}", got, want, bound)
    large = [x.detach() for x in random_inputs(12, 8192, 2, 4, 64, 64, 0.5, -1.0, torch.float32, "cuda")]
    lower = (0.2 * torch.randn(6144, 64, 64, device="cuda")).tril(-1)
    a, b = 0.1 * torch.randn(2, 48, 128, 64, 64, device="cuda")
    for precision in (None, kernels):
        delta_rule.precision = precision
        print(f"kernels {precision}, 12 windows of 8192, milliseconds (first call in brackets):", end=" ")
        for name, f in (("inverse", lambda: delta_rule.invert(lower)), ("scan", lambda: delta_rule.scan_states(a, b, False)),
                        ("reverse scan", lambda: delta_rule.scan_states(a, b, True)),
                        ("whole rule, eager, with gradients", lambda: with_gradients(delta_rule.gated_delta_rule, large))):
            first, later = seconds(f)
            print(f"{name} {later * 1e3:.2f} ({first * 1e3:.0f})", end="; ", flush=True)
        print()
    return ok


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuda", action="store_true")
    args = parser.parse_args()
    ok = True
    for what, tokens, k_heads, v_heads, k_dim, v_dim, alike, decay in (
            ("odd shapes, ragged end", 150, 2, 6, 12, 20, 0.0, -1.0),
            ("decay of -40", 200, 1, 2, 16, 16, 0.3, -40.0),
            ("keys almost alike", 192, 2, 2, 16, 16, 0.99, -0.1)):
        inputs = random_inputs(2, tokens, k_heads, v_heads, k_dim, v_dim, alike, decay, torch.float64, "cpu")
        ok &= report(what, with_gradients(delta_rule.gated_delta_rule, inputs), with_gradients(token_by_token, inputs), 1e-9)
    if args.cuda:
        ok &= gpu_checks()
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
