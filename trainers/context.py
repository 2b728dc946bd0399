"""What the trainings of one run share: its folder, its questions, the teacher in memory, the stored responses."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.api import HarnessError, Judge
from trainers.generate import GenData
from trainers.models import Teachers
from trainers.questions import TrainingData
from trainers.recipe import Recipe
from trainers.sharding import plugin, sharding_of

_PATIENCE = timedelta(days=2)


@dataclass(slots=True)
class Context:
    """Where and with what a method trains. `say` shows a line; `seed` decides question order and sampling.

    `judge` stands in for the recipe's (tests, or one that is already open).
    """

    folder: Path
    method: str
    seed: int
    data: TrainingData
    teachers: Teachers
    generated: GenData
    accelerator: Any
    say: Callable[[str], None] = field(default=lambda line: None)
    judge: Judge | None = None


def accelerator_of(recipe: Recipe, folder: Path) -> Any:
    """Accelerate's handle of the recipe's engine: DDP, or DeepSpeed ZeRO-2/3. One process alone has nothing to share,
    so there every engine is the plain loop.
    """
    import accelerate
    import torch

    train = recipe.train
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if train.engine == "single" and world > 1:
        raise HarnessError(
            f"{world} processes were launched, but train.engine is single",
            "set train.engine to ddp, zero2 or zero3, or start one process",
        )
    here = torch.accelerator.is_available()
    arguments: dict[str, Any] = {
        "kwargs_handlers": [
            # One process evaluates or asks a judge while the others wait; a dead one is noticed by torchrun.
            accelerate.InitProcessGroupKwargs(backend="gloo" if world > 1 and not here else None, timeout=_PATIENCE),
            accelerate.DistributedDataParallelKwargs(find_unused_parameters=True),
        ]
    }
    if train.engine in ("zero2", "zero3") and world > 1:
        arguments["deepspeed_plugin"] = plugin(recipe)
    else:
        arguments.update(mixed_precision="bf16" if train.precision == "bf16" else "no", cpu=not here)
    if train.trackers:
        arguments.update(log_with=list(train.trackers), project_dir=str(folder / "trackers"))
    accelerator = accelerate.Accelerator(**arguments)
    if accelerator.num_processes != world:
        raise HarnessError(
            f"{world} processes were launched, but Accelerate sees {accelerator.num_processes}",
            "start them with `harness launch` or torchrun, one for each device",
        )
    return accelerator


def open_context(
    recipe: Recipe, folder: Path, method: str, seed: int, say: Callable[[str], None] | None = None
) -> Context:
    """A context of its own for one method and seed; `trainers.run` shares the parts between them."""
    from trainers.questions import open_training_data

    accelerator = accelerator_of(recipe, folder)
    with accelerator.main_process_first():  # data is converted once, then mapped
        data = open_training_data(recipe.data)
    return Context(
        folder, method, seed, data, Teachers(recipe.train, accelerator.device, sharding_of(accelerator)),
        GenData(folder / "gen", accelerator.process_index),
        accelerator, say or (lambda line: None),
    )  # fmt: skip
