"""Controls of the magnitude mask: the same number of weights, chosen at random or by Wanda's activation-aware score."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_CHUNK = 1 << 16


def zero_random(weight: Tensor, ratio: float, seed: int, name: str) -> int:
    """Zero exactly round(ratio * weights) weights chosen uniformly, in place; the same for the same seed and name."""
    import numpy as np

    flat = weight.view(-1)
    left = zeroed = round(ratio * len(flat))
    draws = np.random.default_rng([seed, zlib.crc32(name.encode())])
    shuffle = torch.Generator().manual_seed(int(draws.integers(2**62)))
    for start in range(0, len(flat), _CHUNK):
        part = flat[start : start + _CHUNK]
        after = len(flat) - start - len(part)
        # How many of the remaining zeros fall into this chunk, then which: together uniform over the whole tensor.
        here = int(draws.hypergeometric(len(part), after, left)) if left else 0
        part[torch.randperm(len(part), generator=shuffle)[:here].to(part.device)] = 0
        left -= here
    return zeroed


def zero_wanda(weight: Tensor, ratio: float, input_norm: Tensor) -> int:
    """Zero the round(ratio * columns) weights of each output row with the least |W_ij| * ||X_j||_2, in place.

    `weight` [out, in], `input_norm` [in]. Rule of arXiv 2306.11695; ties go by column.
    """
    rows, columns = weight.shape
    k = round(ratio * columns)
    for part in torch.split(weight, max(1, (1 << 22) // columns)):
        score = part.abs().float() * input_norm.to(part.device)
        part.scatter_(1, score.sort(dim=1, stable=True).indices[:, :k], 0.0)
    return k * rows


def input_norms(model: Any, batches: Iterable[Mapping[str, Tensor]], names: Iterable[str]) -> dict[str, Tensor]:
    """||X_j||_2 of each linear layer's inputs over the calibration batches: parameter name -> [in], float32.

    `batches` are keyword arguments of the model, without padding (padding would count as input).
    """
    wanted = set(names)
    squares: dict[str, Tensor] = {}
    handles = []
    for path, module in model.named_modules():
        name = f"{path}.weight"
        if not isinstance(module, nn.Linear) or name not in wanted:
            continue

        def note(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
            found = inputs[0].detach().float().flatten(0, -2).square().sum(0)
            squares[name] = squares[name] + found if name in squares else found

        handles.append(module.register_forward_pre_hook(note))
    try:
        with torch.no_grad():
            for batch in batches:
                model(**batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: total.sqrt() for name, total in squares.items()}
