"""Muon (Jordan et al. 2024): momentum, then the nearest orthogonal matrix by five Newton-Schulz steps.

Every hidden weight matrix is stepped this way, each expert as a matrix of its own; embedding, head, router, norms and other
small parameters are AdamW's. Matrices of one shape go through as one batch, so a step is a few dozen launches and needs no
compiler.
"""
from typing import Dict, Iterable, List, Tuple

import torch
from torch import Tensor, nn


def split_parameters(model: nn.Module) -> Tuple[List[nn.Parameter], List[nn.Parameter]]:
    """(matrices for Muon, the rest for AdamW). Router and gates have so few rows that orthogonal rows would be a constraint."""
    matrices, rest = [], []
    for name, p in model.named_parameters():
        is_table = name in ("model.embed_tokens.weight", "lm_head.weight")
        matrices.append(p) if p.dim() >= 2 and min(p.shape[-2:]) >= 32 and not is_table else rest.append(p)
    return matrices, rest


def orthogonalise(g: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly: singular values end between 0.7 and 1.2.
    g [n, rows, columns], rows <= columns."""
    x = g.to(torch.bfloat16 if g.is_cuda else torch.float32)
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        gram = torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, gram, x, beta=3.4445)
    return x


class Muon:
    """Steps by lr * sqrt(max(1, out / in)): the change of the layer's output is then about lr, whatever the layer's shape."""

    def __init__(self, params: Iterable[nn.Parameter], momentum: float = 0.95):
        self.momentum = momentum
        self.groups: Dict[Tuple[int, int], List[nn.Parameter]] = {}
        for p in params:
            self.groups.setdefault(tuple(sorted(p.shape[-2:])), []).append(p)
        self.buffers: Dict[Tuple[int, int], Tensor] = {}

    @torch.no_grad()
    def step(self, lr: float) -> None:
        for shape, params in self.groups.items():
            # [n, rows, columns], rows <= columns: tall matrices go through transposed
            grads = torch.cat([(p.grad.mT if p.shape[-2] > p.shape[-1] else p.grad).reshape(-1, *shape) for p in params])
            if shape not in self.buffers:
                self.buffers[shape] = torch.zeros_like(grads)
            buffer = self.buffers[shape]
            buffer.lerp_(grads, 1 - self.momentum)
            updates = orthogonalise(grads.lerp(buffer, self.momentum))  # Nesterov
            start = 0
            for p in params:
                count = p.numel() // (shape[0] * shape[1])
                update = updates[start:start + count]
                if p.shape[-2] > p.shape[-1]:
                    update = update.mT
                p.add_(update.reshape(p.shape).to(p.dtype), alpha=-lr * max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5)
                start += count
