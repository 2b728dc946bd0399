"""Masks of a teacher whose parameters lie in pieces on several processes (ZeRO-3): the same weights go as if it were
whole, because the counts that find a threshold add up over the pieces.

A piece is a contiguous part of the flat parameter, in the order of the processes. All processes call together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainers import mask_controls
from trainers.mask_scope import Scope, TensorMask, input_norm_of, scoped_parameters, shape_of, zero_upto_threshold
from trainers.recipe import Masking
from trainers.selection import count_equal, threshold


class Piece(NamedTuple):
    """What this process holds of a matrix of so many `weights`; of a stack of experts, of one of them."""

    name: str
    weights: int
    data: Tensor


def local_piece(parameter: Any, rank: int) -> tuple[Tensor, int]:
    """The part of the flat parameter that this process holds, without ZeRO-3's padding, and where it starts."""
    piece: Tensor = parameter.ds_tensor.data
    start = rank * piece.numel()
    valid = min(max(parameter.ds_numel - start, 0), piece.numel())
    return piece.view(-1)[:valid], start


def pieces(model: Any, scope: Scope) -> list[Piece]:
    """Our pieces of the matrices in scope; an empty one where it holds nothing of a matrix."""
    import torch.distributed as dist

    found: list[Piece] = []
    for name, parameter, stacked in scoped_parameters(model, scope):
        data, start = local_piece(parameter, dist.get_rank(parameter.ds_process_group))
        if not stacked:
            found.append(Piece(name, parameter.ds_numel, data))
            continue
        experts = shape_of(parameter)[0]
        size = parameter.ds_numel // experts
        for expert in range(experts):
            low, high = (min(max(at - start, 0), len(data)) for at in (expert * size, (expert + 1) * size))
            found.append(Piece(f"{name}[{expert}]", size, data[low:high]))
    return found


def mask_pieces(
    model: Any, ratio: float, masking: Masking, norms: Mapping[str, Tensor] | None = None
) -> list[TensorMask]:
    """As `trainers.masking.mask` on the whole model; the counts in what it returns are those of whole matrices."""
    if masking.criterion == "magnitude":
        scoped = pieces(model, masking.scope)
        one = masking.threshold == "tensor"
        done = [found for part in (zip(scoped) if one else [scoped]) for found in mask_together(list(part), ratio)]
    elif masking.criterion == "random":
        done = _mask_whole(
            model, masking.scope, lambda name, weight: mask_controls.zero_random(weight, ratio, masking.seed, name)
        )
    else:
        done = _mask_whole(
            model, masking.scope,
            lambda name, weight: mask_controls.zero_wanda(weight, ratio, input_norm_of(name, norms)),
        )  # fmt: skip
    for _, parameter, _ in scoped_parameters(model, masking.scope):
        forget_whole(parameter)
    return done


def mask_together(scoped: Sequence[Piece], ratio: float, group: Any = None) -> list[TensorMask]:
    """One threshold for some matrices, found and applied in pieces; ties go by matrix and flat index."""
    import torch.distributed as dist

    def add(counts: Tensor) -> Tensor:
        dist.all_reduce(counts, group=group)
        return counts

    k = round(ratio * sum(piece.weights for piece in scoped))
    if k == 0:
        return [TensorMask(piece.name, piece.weights, 0) for piece in scoped]
    found = threshold([piece.data for piece in scoped], k, add)
    rank, world = dist.get_rank(group), dist.get_world_size(group)
    equal = torch.zeros(len(scoped), world, dtype=torch.int64, device=scoped[0].data.device)
    equal[:, rank] = torch.tensor([count_equal(piece.data, found.value) for piece in scoped])
    left, zeroed = found.ties, []
    for piece, ties in zip(scoped, add(equal).tolist(), strict=True):
        before = sum(ties[:rank])
        mine = min(max(min(left, sum(ties)) - before, 0), ties[rank])
        left -= min(left, sum(ties))
        zeroed.append(zero_upto_threshold(piece.data, found, mine))
    every = add(torch.tensor(zeroed, device=equal.device)).tolist()
    return [TensorMask(p.name, p.weights, gone, found.value) for p, gone in zip(scoped, every, strict=True)]


def _mask_whole(model: Any, scope: Scope, zero: Callable[[str, Tensor], int]) -> list[TensorMask]:
    """Masks that need whole matrices: one after the other is gathered, masked by the first process and dealt out."""
    done: list[TensorMask] = []
    for name, parameter, stacked in scoped_parameters(model, scope):
        with _gathered(parameter):
            whole = list(parameter.data) if stacked else [parameter.data]
            names = [f"{name}[{e}]" for e in range(len(whole))] if stacked else [name]
            done += [TensorMask(n, w.numel(), zero(n, w)) for n, w in zip(names, whole, strict=True)]
    return done


@contextmanager
def _gathered(parameter: Any) -> Iterator[None]:
    import deepspeed

    with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0):
        yield


def forget_whole(parameter: Any) -> None:
    """Free a small parameter that DeepSpeed keeps gathered, so that it is gathered again from the changed pieces."""
    from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus

    if parameter.ds_status == ZeroParamStatus.AVAILABLE:
        parameter.partition()


def count_zeros(model: Any, scope: Scope) -> int:
    """Zeros in the matrices in scope, over all processes."""
    import torch.distributed as dist

    own = sum(piece.data.numel() - int(torch.count_nonzero(piece.data)) for piece in pieces(model, scope))
    total = torch.tensor(own, device=model.device)
    dist.all_reduce(total)
    return int(total)
