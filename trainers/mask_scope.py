"""What a mask covers: which parameters are in scope, as matrices, and what became of each.

A "layer" is one weight matrix; a stack of experts is one matrix per expert. Embeddings, the output embedding (tied or
not), norms, biases and routers are never masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.api import HarnessError
from trainers.selection import Threshold, zero_smallest

Scope = Literal["lm_linear", "lm+vision_linear", "all_2d"]


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


def input_norm_of(name: str, norms: Mapping[str, Tensor] | None) -> Tensor:
    """The norms of a matrix's inputs; HarnessError where they were not measured."""
    if norms is None or name not in norms:
        raise HarnessError(f"wanda needs the input norms of {name}", "calibrate the model first, over the same scope")
    return norms[name]


def zero_upto_threshold(weight: Tensor, found: Threshold, ties: int) -> int:
    """Apply a threshold shared with other tensors, with this one's part of the ties; how many weights it zeroed."""
    zero_smallest(weight, Threshold(found.value, 0, ties))
    return weight.numel() - int(torch.count_nonzero(weight)) if found.value > 0 else ties
