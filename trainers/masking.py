"""Masks of a teacher (Eq. 1-2 of the paper): the share r of each layer's weights with the least magnitude is zeroed.

Masks are made in place and undone by reading the checkpoint again, so a teacher never has a second copy in memory.
A "layer" is one weight matrix; a stack of experts is one matrix per expert. Embeddings, the output embedding (tied or
not), norms, biases and routers are never masked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.api import HarnessError
from trainers import mask_controls
from trainers.recipe import Masking
from trainers.selection import Threshold, count_equal, threshold, zero_smallest

Scope = Literal["lm_linear", "lm+vision_linear", "all_2d"]


_PAPER = Masking()


@dataclass(frozen=True, slots=True)
class TensorMask:
    """What became of one matrix: its weights, how many are zeroed, the threshold (0 for controls that have none)."""

    name: str
    weights: int
    zeroed: int
    threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class MaskReport:
    """What a mask did. `asked` is r; `effective` is the share of all the model's weights that the mask zeroed."""

    asked: float
    scope: str
    criterion: str
    parameters: int
    tensors: tuple[TensorMask, ...]

    @property
    def in_scope(self) -> float:
        """Share of the weights in scope that are zeroed; r up to rounding."""
        weights = sum(tensor.weights for tensor in self.tensors)
        return sum(tensor.zeroed for tensor in self.tensors) / weights if weights else 0.0

    @property
    def effective(self) -> float:
        """Share of all weights that are zeroed: below r where some are left out (the paper's N counts all)."""
        return sum(tensor.zeroed for tensor in self.tensors) / self.parameters


def in_pieces(model: Any) -> bool:
    """Whether the parameters lie in pieces on several processes (ZeRO-3)."""
    return any(hasattr(parameter, "ds_tensor") for parameter in model.parameters())


def shape_of(parameter: Any) -> tuple[int, ...]:
    """The shape of the whole parameter."""
    return tuple(getattr(parameter, "ds_shape", parameter.shape))


def scoped_parameters(model: Any, scope: Scope = "lm_linear") -> list[tuple[str, Any, bool]]:
    """The parameters a scope masks, by name, in model order, and whether each is a stack of experts.

    `lm_linear`: the linear layers of the language model's decoder blocks. `lm+vision_linear`: all linear layers but
    the output embedding. `all_2d`: every parameter with two or more dimensions but embeddings.
    """
    kept_out = {
        _storage(parameter)
        for module in (*_embeddings(model), model.get_output_embeddings())
        if module is not None
        for parameter in module.parameters()
    }
    blocks = {id(parameter) for parameter in model.get_decoder().layers.parameters()}
    linear = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    found: list[tuple[str, Any, bool]] = []
    for name, parameter in model.named_parameters():
        if len(shape_of(parameter)) < 2 or _storage(parameter) in kept_out:
            continue
        experts = len(shape_of(parameter)) == 3 and id(parameter) in blocks
        inside = id(parameter) in blocks if scope == "lm_linear" else True
        if scope != "all_2d" and not (inside and (id(parameter) in linear or experts)):
            continue
        if not parameter.is_contiguous():
            raise HarnessError(f"{name} is not contiguous in memory", "load the model afresh from its checkpoint")
        found.append((name, parameter, experts))
    if not found:
        raise HarnessError(
            f"scope {scope} finds no weight matrix in {type(model).__name__}", "choose another mask scope"
        )
    return found


def matrices(model: Any, scope: Scope = "lm_linear") -> list[tuple[str, Tensor]]:
    """The weight matrices a scope masks, by parameter name, in model order; experts as `name[e]`."""
    found: list[tuple[str, Tensor]] = []
    for name, parameter, stacked in scoped_parameters(model, scope):
        rows = enumerate(parameter.data) if stacked else ()
        found.extend([(f"{name}[{e}]", row) for e, row in rows] if stacked else [(name, parameter.data)])
    return found


def _storage(parameter: Any) -> int:
    """What tied parameters share; one in pieces has no memory of its own while it is not gathered."""
    return id(parameter) if hasattr(parameter, "ds_tensor") else int(parameter.data_ptr())


def _embeddings(model: nn.Module) -> Iterator[nn.Module]:
    return (module for module in model.modules() if isinstance(module, nn.Embedding))


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
        from trainers.mask_shards import mask_pieces

        done = mask_pieces(model, ratio, masking, input_norms)
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


def input_norm_of(name: str, norms: Mapping[str, Tensor] | None) -> Tensor:
    """The norms of a matrix's inputs; HarnessError where they were not measured."""
    if norms is None or name not in norms:
        raise HarnessError(f"wanda needs the input norms of {name}", "calibrate the model first, over the same scope")
    return norms[name]


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


def zero_upto_threshold(weight: Tensor, found: Threshold, ties: int) -> int:
    """Apply a threshold shared with other tensors, with this one's part of the ties; how many weights it zeroed."""
    zero_smallest(weight, Threshold(found.value, 0, ties))
    return weight.numel() - int(torch.count_nonzero(weight)) if found.value > 0 else ties


def count_zeros(model: Any, scope: Scope) -> int:
    """Zeros in the matrices in scope."""
    if in_pieces(model):
        from trainers import mask_shards

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

        from trainers.mask_shards import forget_whole, local_piece

        weight, start = local_piece(parameter, dist.get_rank(parameter.ds_process_group))
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
        forget_whole(parameter)


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
