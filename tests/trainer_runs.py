"""Small trainings on tiny checkpoints: what the tests of generation, loop and methods share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny_models

from harness import registry
from harness.api import Stage
from trainers.context import Context, open_context
from trainers.recipe import Recipe


def recipe(models: Path, method: str, **settings: Any) -> Recipe:
    """A recipe of two stages of two steps of three questions; `settings` are dotted keys."""
    student, teacher = (str(tiny_models.checkpoint("internvl", models, seed)) for seed in (0, 1))
    small = Recipe.model_validate(
        {
            "name": "small",
            "student": {"model": student},
            "teachers": [{"model": teacher, "r_max": 0.2, "step": 0.2}],
            "responses": {"teacher": 2, "student": 2, "sampling": {"max_new_tokens": 5}},
            "data": {"sources": ["mini:chartqa,mmstar"], "questions": 12},
            "reward": {"judge": {"grade": "task"}},
            "optimizer": {"lr": 1e-3, "questions_per_step": 3},
            "train": {
                "precision": "fp32", "gradient_checkpointing": False, "questions_per_batch": 2, "save_steps": 1,
            },
            "methods": [method],
        }
    )  # fmt: skip
    return small.override(settings, "test") if settings else small


def context(asked: Recipe, folder: Path, seed: int = 0) -> Context:
    """A context for the recipe's only method."""
    return open_context(asked, folder, asked.methods[0].name, seed)


def run(asked: Recipe, folder: Path, **changes: Any) -> list[Stage]:
    """All stages of the recipe's only method."""
    given = context(asked, folder)
    for name, value in changes.items():
        setattr(given, name, value)
    return list(registry.load("trainers", asked.methods[0].name).run(asked, given))


def killed(work: Callable[[], object]) -> None:
    """Do the work in a process that kills itself with -9 (the work must call `die`)."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
