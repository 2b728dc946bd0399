"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): orthogonalised momentum for matrices.

Matrices of one shape are orthogonalised together: on a CPU with matrices this small, the calls cost more than the sums.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

#: Coefficients of the quintic iteration that drives all singular values towards 1.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalise(g_NRC: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrix of each matrix, about: singular values between 0.7 and 1.2."""
    tall = g_NRC.shape[-2] > g_NRC.shape[-1]
    x = g_NRC.mT if tall else g_NRC
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = _A * x + (_B * a + _C * a @ a) @ x
    out: Tensor = x.mT if tall else x
    return out


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; an update's size does not depend on the gradient's."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[p.shape].append(p)
            for (rows, columns), members in shapes.items():
                update = orthogonalise(torch.stack([self._momentum(p, group["momentum"]) for p in members]))
                scale = group["lr"] * max(1.0, rows / columns) ** 0.5
                for p, change in zip(members, update, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(change, alpha=-scale)

    def _momentum(self, p: Tensor, momentum: float) -> Tensor:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        buffer: Tensor = state["momentum"]
        assert p.grad is not None
        buffer.lerp_(p.grad, 1 - momentum)
        return torch.lerp(p.grad, buffer, momentum)
