"""What a training leaves on disk: a checkpoint a stage, and the state it goes on from after a kill.

Everything is written beside its place and renamed, so that what has its name is whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from harness.api import HarnessError
from trainers.recipe import Recipe

_POSITION = "position.json"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a training is: `step` optimizer steps of stage `stage` are done; the counts are those so far."""

    stage: int = 0
    step: int = 0
    questions: int = 0
    student_tokens: int = 0
    responses: int = 0
    recipe: str = ""
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one method and seed in a run folder."""

    run: Path
    method: str
    seed: int

    @property
    def own(self) -> Path:
        """Logs, rewards and state."""
        return self.run / self.method / f"seed{self.seed}"

    def checkpoint(self, stage: int) -> Path:
        """The stage's checkpoint, loadable by plain transformers."""
        return self.run / "checkpoints" / self.method / f"seed{self.seed}" / f"stage{stage}"

    def record(self, stage: int) -> Path:
        """What is known of the stage (budget, teacher, r), beside its checkpoint."""
        return self.checkpoint(stage).with_suffix(".json")

    def rewards(self, stage: int) -> Path:
        """The rewards of the stage's responses."""
        return self.own / f"stage{stage}" / "rewards"


def recipe_key(recipe: Recipe, method: Mapping[str, Any], questions: str) -> str:
    """What a training depends on: a state of another recipe is not resumed."""
    depends = recipe.model_dump(exclude={"description", "hardware", "evaluation", "methods", "seeds"})
    for unimportant in ("save_steps", "trackers"):
        depends["train"].pop(unimportant)
    for unset in [name for name, value in depends["responses"].items() if value == {}]:
        depends["responses"].pop(unset)  # so that a key is that of before the setting was there
    if depends["train"]["engine"] == "ddp":  # one state for one process and for many
        depends["train"]["engine"] = "single"
    return hashlib.sha256(json.dumps([depends, dict(method), questions], sort_keys=True).encode()).hexdigest()


def write_whole(folder: Path, write: Callable[[Path], None], together: Any = None) -> None:
    """Let `write` fill a new folder, then give it its name; what had the name before is replaced.

    With an accelerator all of its processes write into the folder; the main one makes it and names it.
    """
    half = folder.with_name(f".{folder.name}.half")
    main = together is None or together.is_main_process

    def meet() -> None:
        if together is not None:
            together.wait_for_everyone()

    try:
        if main:
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir(parents=True)
        meet()
        write(half)
        meet()
        if main:
            if folder.exists():
                shutil.rmtree(folder)
            half.rename(folder)
        meet()
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have errors of their own
        shutil.rmtree(half, ignore_errors=True)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise HarnessError(
            f"cannot write {folder}: {reason}", "free disk space or make the folder writable; the same command resumes"
        ) from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """A JSON file that is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    half.replace(path)


def damaged(state: Path, file: Path, error: Exception) -> HarnessError:
    """What a training says that cannot go on from what it finds."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return HarnessError(
        f"{file} cannot be read: {reason}",
        f"delete {state}; this method and seed are trained again, from the responses that are stored",
    )


class States:
    """The states of one training; the newest is kept. All processes of `accelerator` call its methods together."""

    def __init__(self, folder: Path, accelerator: Any) -> None:
        self._folder = folder / "state"
        self._accelerator = accelerator

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._folder

    def save(self, position: Position, write: Callable[[Path], None]) -> None:
        """Keep a state: `write` puts model, optimizer and random states into the folder it is given."""
        main = self._accelerator.is_main_process

        def fill(folder: Path) -> None:
            write(folder)
            if main:
                write_json(folder / _POSITION, asdict(position))

        place = self._folder / f"{position.stage:04d}-{position.step:08d}"
        write_whole(place, fill, self._accelerator)
        if main:
            for old in self._folder.iterdir():
                if old != place:
                    shutil.rmtree(old)

    def newest(self, recipe: str) -> tuple[Position, Path] | None:
        """The newest state and its folder, or None where there is none. HarnessError where it is of another recipe, or
        of another number of processes, of which each has its part.
        """
        found = sorted(path for path in self._folder.glob("[0-9]*") if (path / _POSITION).is_file())
        if not found:
            return None
        try:
            position = Position(**json.loads((found[-1] / _POSITION).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise damaged(self._folder, found[-1] / _POSITION, error) from error
        if position.recipe != recipe:
            raise HarnessError(
                f"{self._folder.parent} holds a training by another recipe",
                "run into a new folder (--out), or delete this one to train again",
            )
        processes = self._accelerator.num_processes
        if position.processes != processes:
            raise HarnessError(
                f"{self._folder.parent} holds the state of {position.processes} processes, not of {processes}",
                "go on with as many processes as before, or run into a new folder (--out)",
            )
        return position, found[-1]
