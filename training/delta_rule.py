"""The gated delta rule for training, in chunks of 64 tokens (Yang et al., arXiv 2412.06464, WY form).

Per value head, token by token:   S <- exp(g) S;  d = beta (v - S^T k);  S <- S + k d^T;  o = S^T q
In chunks everything is a batched matrix product except two things, which are custom operators so that torch.compile neither
unrolls nor breaks on them:

    unit_lower_inverse   (I + L)^-1 by substitution. Repeated squaring would overflow: early in training all keys are alike.
    chunk_scan           the state entering each chunk, S_{c+1} = A_c S_c + B_c: 128 dependent steps in an 8,192-token window.

Each has a plain PyTorch body, which also serves the CPU, and a Triton kernel. `choose_kernels` compares the two on the
machine and takes the kernels only if they agree.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

CHUNK = 64
precision = None  # how Triton's dot products round: "tf32x3", "ieee"; None: plain PyTorch

if triton is not None:

    @triton.jit
    def scan_kernel(a_ptr, b_ptr, x_ptr, chunks, K: tl.constexpr, V: tl.constexpr, BLOCK: tl.constexpr,
                    REVERSE: tl.constexpr, PRECISION: tl.constexpr):
        # One program per sequence (a window's value head) and block of value columns; the state stays in registers.
        sequence = tl.program_id(0).to(tl.int64)
        rows = tl.arange(0, K)
        columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        x_offsets = rows[:, None] * V + columns[None, :]
        if REVERSE:  # A transposed, chunks from last to first
            a_offsets = rows[None, :] * K + rows[:, None]
        else:
            a_offsets = rows[:, None] * K + rows[None, :]
        state = tl.zeros([K, BLOCK], dtype=tl.float32)
        for step in range(chunks):
            if REVERSE:
                chunk = sequence * chunks + chunks - 1 - step
            else:
                chunk = sequence * chunks + step
            tl.store(x_ptr + chunk * (K * V) + x_offsets, state)
            a = tl.load(a_ptr + chunk * (K * K) + a_offsets)
            b = tl.load(b_ptr + chunk * (K * V) + x_offsets)
            state = tl.dot(a, state, input_precision=PRECISION) + b

    @triton.jit
    def inverse_kernel(l_ptr, t_ptr, C: tl.constexpr):
        # One program per matrix. Row r of the inverse needs only the finished rows above it.
        base = tl.program_id(0).to(tl.int64) * (C * C)
        index = tl.arange(0, C)
        offsets = index[:, None] * C + index[None, :]
        t = -tl.load(l_ptr + base + offsets)
        for r in range(1, C):
            row = -tl.load(l_ptr + base + r * C + index)
            row += tl.sum(row[:, None] * t, axis=0)
            t = tl.where(index[:, None] == r, row[None, :], t)
        tl.store(t_ptr + base + offsets, t + tl.where(index[:, None] == index[None, :], 1.0, 0.0))


def fits_triton(x: Tensor, *sizes: int) -> bool:
    return precision is not None and x.is_cuda and x.dtype == torch.float32 and all(s in (16, 32, 64, 128) for s in sizes)


# States X [.., chunks, K, V] of X_0 = 0, X_{c+1} = A_c X_c + B_c; in reverse X_last = 0, X_{c-1} = A_c^T X_c + B_c.
def scan_states(a: Tensor, b: Tensor, reverse: bool) -> Tensor:
    chunks, k_dim, v_dim = b.shape[-3:]
    a, b = a.contiguous(), b.contiguous()
    x = torch.empty(b.shape, dtype=b.dtype, device=b.device)
    if fits_triton(b, k_dim, v_dim):
        block = 16
        grid = (b.numel() // (chunks * k_dim * v_dim), v_dim // block)
        scan_kernel[grid](a, b, x, chunks, K=k_dim, V=v_dim, BLOCK=block, REVERSE=reverse, PRECISION=precision, num_warps=4)
        return x
    a, b = a.reshape(-1, chunks, k_dim, k_dim), b.reshape(-1, chunks, k_dim, v_dim)
    states = x.view(b.shape)
    state = torch.zeros_like(b[:, 0])
    for c in reversed(range(chunks)) if reverse else range(chunks):
        states[:, c] = state
        state = torch.baddbmm(b[:, c], a[:, c].mT if reverse else a[:, c], state)
    return x


def scan_setup(ctx, inputs, output) -> None:
    ctx.save_for_backward(inputs[0], output)


def scan_backward(ctx, grad: Tensor):
    a, x = ctx.saved_tensors
    grad_b = chunk_scan(a, grad, True)  # the gradient of the state leaving chunk c
    return grad_b @ x.mT, grad_b, None


# (I + L)^-1 for strictly lower triangular L [.., C, C].
def invert(lower: Tensor) -> Tensor:
    size = lower.shape[-1]
    if fits_triton(lower, size):
        lower = lower.contiguous()
        inverse = torch.empty_like(lower)
        inverse_kernel[(lower.numel() // (size * size),)](lower, inverse, C=size, num_warps=4)
        return inverse
    eye = torch.eye(size, dtype=lower.dtype, device=lower.device)
    return torch.linalg.solve_triangular(lower + eye, eye.expand_as(lower), upper=False, unitriangular=True).contiguous()


def inverse_setup(ctx, inputs, output) -> None:
    ctx.save_for_backward(output)


def inverse_backward(ctx, grad: Tensor):
    (t,) = ctx.saved_tensors
    return (-(t.mT @ grad @ t.mT)).tril(-1)


if hasattr(torch.library, "custom_op"):
    chunk_scan = torch.library.custom_op("pebble::chunk_scan", scan_states, mutates_args=())
    chunk_scan.register_fake(lambda a, b, reverse: b.new_empty(b.shape))
    chunk_scan.register_autograd(scan_backward, setup_context=scan_setup)
    unit_lower_inverse = torch.library.custom_op("pebble::unit_lower_inverse", invert, mutates_args=())
    unit_lower_inverse.register_fake(lambda lower: lower.new_empty(lower.shape))
    unit_lower_inverse.register_autograd(inverse_backward, setup_context=inverse_setup)
else:  # before PyTorch 2.4: eager only

    class ChunkScan(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            output = scan_states(*inputs)
            scan_setup(ctx, inputs, output)
            return output

        backward = staticmethod(scan_backward)

    class UnitLowerInverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            output = invert(*inputs)
            inverse_setup(ctx, inputs, output)
            return output

        backward = staticmethod(inverse_backward)

    chunk_scan = ChunkScan.apply
    unit_lower_inverse = UnitLowerInverse.apply


def gated_delta_rule(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Tensor:
    """q, k [batch, tokens, k_heads, k_dim], L2-normalised, q scaled; v [batch, tokens, v_heads, v_dim];
    g (log-decay, <= 0), beta [batch, tokens, v_heads]; value head h reads key head h // group. Returns the shape of v.
    Computes in the dtype it is given, float32 or float64."""
    batch, tokens, k_heads, _ = k.shape
    v_heads, v_dim = v.shape[-2:]
    pad = -tokens % CHUNK

    def chunked(x: Tensor, heads: int, *width: int) -> Tensor:  # -> [batch, k_heads, group, chunks, CHUNK, *width]
        if pad:  # a step with k = v = beta = g = 0 leaves the state as it is
            x = F.pad(x, (0, 0) * (x.dim() - 2) + (0, pad))
        x = x.reshape(batch, -1, CHUNK, k_heads, heads // k_heads, *width)
        return x.permute(0, 3, 4, 1, 2, *range(5, x.dim()))

    q, k = chunked(q, k_heads, q.shape[-1]), chunked(k, k_heads, k.shape[-1])
    v, g, beta = chunked(v, v_heads, v_dim), chunked(g, v_heads), chunked(beta, v_heads).unsqueeze(-1)

    decay = g.cumsum(-1)  # since the chunk began
    later = torch.ones(CHUNK, CHUNK, dtype=torch.bool, device=g.device).triu(1)
    between = (decay.unsqueeze(-1) - decay.unsqueeze(-2)).masked_fill(later, -torch.inf).exp()  # masked first: no overflow
    since_start = decay.unsqueeze(-1).exp()
    until_end = (decay[..., -1:] - decay).unsqueeze(-1).exp()
    whole = since_start[..., -1:, :]

    t = unit_lower_inverse((beta * (k @ k.mT) * between).tril(-1))
    u = t @ (beta * v)
    w = t @ (beta * since_start * k)
    k_end = (until_end * k).mT
    eye = torch.eye(k.shape[-1], dtype=k.dtype, device=k.device)
    state = chunk_scan(whole * eye - k_end @ w, k_end @ u, False)
    out = (since_start * q) @ state + ((q @ k.mT) * between) @ (u - w @ state)
    return out.permute(0, 3, 4, 1, 2, 5).reshape(batch, -1, v_heads, v_dim)[:, :tokens]


def choose_kernels(device: torch.device) -> str:
    """Takes the Triton kernels if they agree here with the plain bodies, and says what it chose."""
    global precision
    precision = None
    if triton is None or device.type != "cuda":
        return "plain PyTorch"
    generator = torch.Generator(device).manual_seed(0)
    lower = 0.2 * torch.randn(6, CHUNK, CHUNK, device=device, generator=generator).tril(-1)
    a = 0.12 * torch.randn(3, 9, 64, 64, device=device, generator=generator)
    b = torch.randn(3, 9, 64, 64, device=device, generator=generator)

    def outputs() -> list:
        return [invert(lower), scan_states(a, b, False), scan_states(a, b, True)]

    exact = [x.double() for x in (invert(lower.double()), scan_states(a.double(), b.double(), False),
                                  scan_states(a.double(), b.double(), True))]
    for precision in ("tf32x3", "ieee"):
        try:
            errors = [((x - y).abs().max() / y.abs().max()).item() for x, y in zip(outputs(), exact)]
        except Exception as error:  # whatever the compiler says: the plain bodies still work
            print(f"kernels: triton {precision}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            continue
        print(f"kernels: triton {precision}: relative errors " + " ".join(f"{e:.1e}" for e in errors), flush=True)
        if max(errors) < 1e-4:  # written so that NaN fails
            return f"triton, {precision}"
    precision = None
    return "plain PyTorch"
