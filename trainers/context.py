"""What the trainings of one run share: its folder, its questions, the teacher in memory, the stored responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.api import HarnessError, Judge
from trainers.generate import GenData
from trainers.models import Teachers
from trainers.questions import TrainingData
from trainers.recipe import Recipe, Train


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


def accelerator_of(train: Train, folder: Path) -> Any:
    """Accelerate's handle of the recipe's engine: one process, DDP, or DeepSpeed ZeRO-2/3."""
    import accelerate

    arguments: dict[str, Any] = {"mixed_precision": "bf16" if train.precision == "bf16" else "no"}
    if train.engine in ("zero2", "zero3"):
        try:
            arguments["deepspeed_plugin"] = accelerate.DeepSpeedPlugin(
                zero_stage=int(train.engine[-1]), gradient_accumulation_steps=1, zero3_save_16bit_model=True
            )
        except ImportError as error:
            raise HarnessError(
                f"train.engine: {train.engine} needs DeepSpeed, which is not installed",
                "pip install 'masters-harness[deepspeed]', or train.engine: single",
            ) from error
    if train.trackers:
        arguments.update(log_with=list(train.trackers), project_dir=str(folder / "trackers"))
    accelerator = accelerate.Accelerator(**arguments)
    if train.engine == "single" and accelerator.num_processes > 1:
        raise HarnessError(
            f"{accelerator.num_processes} processes were launched, but train.engine is single",
            "set train.engine to ddp, zero2 or zero3, or start one process",
        )
    return accelerator


def open_context(
    recipe: Recipe, folder: Path, method: str, seed: int, say: Callable[[str], None] | None = None
) -> Context:
    """A context of its own for one method and seed; `trainers.run` shares the parts between them."""
    from trainers.questions import open_training_data

    accelerator = accelerator_of(recipe.train, folder)
    return Context(
        folder, method, seed, open_training_data(recipe.data), Teachers(recipe.train, accelerator.device),
        GenData(folder / "gen", accelerator.process_index), accelerator, say or (lambda line: None),
    )  # fmt: skip
