"""Masks of a teacher (Eq. 1-2 of the paper): the share r of each layer's weights with the least magnitude is zeroed.

Masks are made in place and undone by reading the checkpoint again, so a teacher never has a second copy in memory.
What is masked stands in `trainers.mask_scope`, parameters in pieces (ZeRO-3) in `trainers.mask_shards`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.api import HarnessError
from trainers import mask_controls, mask_shards
from trainers.mask_scope import (
    MaskReport,
    Scope,
    TensorMask,
    in_pieces,
    input_norm_of,
    matrices,
    scoped_parameters,
    shape_of,
    zero_upto_threshold,
)
from trainers.recipe import Masking
from trainers.selection import count_equal, threshold, zero_smallest

_PAPER = Masking()


def mask(
    model: Any, ratio: float, masking: Masking = _PAPER, input_norms: Mapping[str, Tensor] | None = None
) -> MaskReport:
    """Zero the share `ratio` of each matrix in scope, in place: exactly round(ratio * weights) of them.

    Of equal magnitudes at the threshold those of the lowest flat index go. `masking` chooses scope and control;
    `input_norms` (`mask_controls.input_norms`) are needed for `wanda` only. The model must be unmasked.
    """
    if not 0.0 <= ratio <= 1.0:
        raise HarnessError(f"mask ratio {ratio} is no share of the weights", "give a number between 0 and 1")
    total = sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in model.parameters())
    if in_pieces(model):
        done = mask_shards.mask_pieces(model, ratio, masking, input_norms)
        return MaskReport(ratio, masking.scope, masking.criterion, total, tuple(done))
    scoped = matrices(model, masking.scope)
    if masking.criterion == "random":
        done = [TensorMask(n, w.numel(), mask_controls.zero_random(w, ratio, masking.seed, n)) for n, w in scoped]
    elif masking.criterion == "wanda":
        done = [
            TensorMask(n, w.numel(), mask_controls.zero_wanda(w, ratio, input_norm_of(n, input_norms)))
            for n, w in scoped
        ]
    elif masking.threshold == "global":
        done = _mask_together(scoped, ratio)
    else:
        done = [_mask_one(name, weight, ratio) for name, weight in scoped]
    return MaskReport(ratio, masking.scope, masking.criterion, total, tuple(done))


def _mask_one(name: str, weight: Tensor, ratio: float) -> TensorMask:
    k = round(ratio * weight.numel())
    if k == 0:
        return TensorMask(name, weight.numel(), 0)
    found = threshold([weight], k)
    zero_smallest(weight, found)
    return TensorMask(name, weight.numel(), k, found.value)


def _mask_together(scoped: Sequence[tuple[str, Tensor]], ratio: float) -> list[TensorMask]:
    """One threshold for all matrices (a control: the paper reports that it can leave a model that does not work)."""
    k = round(ratio * sum(weight.numel() for _, weight in scoped))
    if k == 0:
        return [TensorMask(name, weight.numel(), 0) for name, weight in scoped]
    found = threshold([weight for _, weight in scoped], k)
    left = found.ties
    done = []
    for name, weight in scoped:
        ties = min(left, count_equal(weight, found.value)) if left else 0
        left -= ties
        done.append(TensorMask(name, weight.numel(), zero_upto_threshold(weight, found, ties), found.value))
    return done


def count_zeros(model: Any, scope: Scope) -> int:
    """Zeros in the matrices in scope."""
    if in_pieces(model):
        return mask_shards.count_zeros(model, scope)
    return sum(weight.numel() - int(torch.count_nonzero(weight)) for _, weight in matrices(model, scope))


# ---------------------------------------------------------------- undoing


def restore(model: Any, checkpoint: Path, scope: Scope = "lm_linear") -> None:
    """Read the masked parameters again from the checkpoint's safetensors, one at a time (of one in pieces our piece).

    Raises HarnessError where a kept weight differs from the file: it is then not the checkpoint of this model.
    """
    from safetensors import safe_open

    where = _files(checkpoint)
    endings: dict[str, list[str]] = {}
    for key in where:
        endings.setdefault(_ending(key), []).append(key)
    scoped = {name: parameter for name, parameter, _ in scoped_parameters(model, scope)}
    keys = {name: _key_of(name, endings, checkpoint) for name in scoped}
    for file in sorted({where[key] for key in keys.values()}):
        with safe_open(file, framework="pt") as tensors:
            for name in (n for n, key in keys.items() if where[key] == file):
                _put_back(name, scoped[name], tensors.get_slice(keys[name]), checkpoint)


def _put_back(name: str, parameter: Any, stored: Any, checkpoint: Path) -> None:
    weight, start = parameter.data.view(-1), 0
    sharded = hasattr(parameter, "ds_tensor")
    if sharded:
        import torch.distributed as dist

        weight, start = mask_shards.local_piece(parameter, dist.get_rank(parameter.ds_process_group))
    shape = tuple(stored.get_shape())
    same = shape == shape_of(parameter)
    if same and len(weight):
        row = math.prod(shape[1:])
        first, last = start // row, -(-(start + len(weight)) // row)
        flat = stored[first:last].flatten()[start - first * row :][: len(weight)]
        kept = flat.to(weight.device, weight.dtype)
        same = not bool(((weight != kept) & (weight != 0)).any())
        if same:
            weight.copy_(kept)
    if not same:
        raise HarnessError(
            f"{name} differs from {checkpoint} in weights that were not masked",
            "restore a teacher from the checkpoint it was loaded from; a trained model cannot be restored",
        )
    if sharded:
        mask_shards.forget_whole(parameter)


def _files(checkpoint: Path) -> dict[str, Path]:
    """Key -> safetensors file of a checkpoint folder."""
    from safetensors import safe_open

    found: dict[str, Path] = {}
    for file in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            found.update(dict.fromkeys(tensors.keys(), file))
    if not found:
        raise HarnessError(f"no safetensors in {checkpoint}", "give the folder the teacher was loaded from")
    return found


def _ending(name: str) -> str:
    """The last three parts of a dotted name, e.g. `self_attn.q_proj.weight`."""
    return ".".join(name.split(".")[-3:])


def _key_of(name: str, endings: Mapping[str, Sequence[str]], checkpoint: Path) -> str:
    """The file's key of a parameter: files keep older prefixes, so the key that shares the longest dotted ending."""
    parts = name.split(".")[::-1]

    def shared(key: str) -> int:
        pairs = zip(parts, key.split(".")[::-1], strict=False)
        return next((at for at, (ours, theirs) in enumerate(pairs) if ours != theirs), len(parts))

    near = endings.get(_ending(name), [])
    best = max(map(shared, near), default=0)
    found = [key for key in near if shared(key) == best]
    if len(found) != 1:
        raise HarnessError(
            f"{checkpoint} has {len(found) or 'no'} weights that could be {name}",
            "load the teacher again for each stage, or save it once with save_pretrained",
        )
    return found[0]
