"""Who answers Gen-Data: the module in memory, a whole copy of one in pieces, or vLLM on its checkpoint.

A module in pieces (ZeRO-3) computes only while all processes do, and answers differ in length; so each process that
answers opens the whole model for the time of it. Between training and vLLM weights are handed over as a checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api import HarnessError, Model
from harness.models.options import open_model
from trainers.recipe import Responses

#: The share of a device's memory that vLLM takes where nothing is said.
_VLLM_SHARE = 0.9
#: What torchrun tells a process; an engine started in it would take itself for one of the training's processes.
_LAUNCHED = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK",
    "ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answerer:
    """A model in each form it can answer in: `live` in memory (None: in pieces), `whole` opened for it, or saved."""

    live: Model | None
    whole: Callable[[], Model]
    checkpoint: Callable[[], Path]


def place_among(accelerator: Any, settings: Responses) -> tuple[int, int] | None:
    """(number, how many) of this process among those that answer; None for one whose device another's engine uses.

    An engine of `tensor_parallel_size` devices belongs to the first of as many neighbours on a node; without devices
    all processes of a node share its memory, and so one engine.
    """
    each = int(settings.backend_options.get("tensor_parallel_size", 1))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", accelerator.num_processes))
    if settings.backend != "hf" and accelerator.device.type == "cpu":
        each = here
    leaders = [rank for rank in range(accelerator.num_processes) if rank % here % each == 0]
    rank = accelerator.process_index
    return (leaders.index(rank), len(leaders)) if rank in leaders else None


@contextmanager
def answering(answerer: Answerer, settings: Responses) -> Iterator[Model]:
    """The model that answers, as the recipe says; an engine is closed afterwards and its memory free for training."""
    if settings.backend == "hf":
        yield answerer.live or answerer.whole()
        return
    _check_room(float(settings.backend_options.get("gpu_memory_utilization", _VLLM_SHARE)))
    with _on_its_own(int(settings.backend_options.get("tensor_parallel_size", 1))):
        engine: Any = open_model(settings.backend, str(answerer.checkpoint()), settings.backend_options)
        try:
            yield engine  # which starts with its first request
        finally:
            engine.close()


def _check_room(share: float) -> None:
    """HarnessError where an engine that takes this share of a device's memory does not fit beside the training."""
    import torch

    if not torch.cuda.is_available():
        return
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    if free < share * total:
        raise HarnessError(
            f"vLLM asks for {share:.0%} of its device's memory; beside the training {free / total:.0%} is free",
            f"set responses.backend_options.gpu_memory_utilization to {int(95 * free / total) / 100:.2f} or less, "
            "share the training out over more devices (train.engine: zero3), or set responses.backend: hf",
        )


@contextmanager
def _on_its_own(devices: int) -> Iterator[None]:
    """The environment of a process that nobody launched with others, which sees its own device and the next ones."""
    before = dict(os.environ)
    first = int(before.get("LOCAL_RANK", "0"))
    visible = before.get("CUDA_VISIBLE_DEVICES", "").split(",")
    for name in _LAUNCHED:
        os.environ.pop(name, None)
    if "LOCAL_RANK" in before:
        mine = range(first, first + devices)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible[n] if n < len(visible) > 1 else str(n) for n in mine)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
