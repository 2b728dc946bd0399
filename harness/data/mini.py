"""The mini edition of a task: rows drawn by its generator, in the TSV schema, with images as PNG bytes."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api import HarnessError, Task
from harness.data.rows import RawRow, SameAs, as_text

SPLITS = ("test", "validation", "train")
_SEED = 0  # the mini edition is one fixed set; a split of another size holds the same first items


@dataclass(frozen=True)
class MiniSource:
    """`where` is "module:function"; `size` None is the generator's default."""

    where: str
    split: str = "test"
    size: int | None = None
    published: int = 0

    @classmethod
    def of(cls, task: Task, split: str, size: int | None) -> MiniSource:
        """The generator of the task."""
        if not task.mini:
            raise HarnessError(f"the task {task.name} has no mini edition", "name a data folder with --data")
        if split not in SPLITS:
            raise HarnessError(f"mini has no split {split!r}", f"use one of {', '.join(SPLITS)}")
        if size is not None and size < 1:
            raise HarnessError(f"a mini split of {size} items is none", "ask for at least one item")
        return cls(task.mini, split, size)

    @property
    def key(self) -> str:
        """Generator, split and size."""
        return f"mini {self.where} {self.split} {self.size}"

    @property
    def label(self) -> str:
        """`mini`, with the split if it is not the test split."""
        return "mini" if self.split == "test" else f"mini {self.split}"

    def files(self) -> list[Path]:
        """The source of the generator and of the modules beside it, which draw for it."""
        spec = importlib.util.find_spec(self.where.partition(":")[0])
        if spec is None or spec.origin is None:
            raise HarnessError(
                f"the generator of mini items {self.where} is not installed", "install its package again"
            )
        return sorted(Path(spec.origin).parent.rglob("*.py"))

    def rows(self) -> Iterator[RawRow]:
        """Every drawn row."""
        module, _, function = self.where.partition(":")
        draw: Callable[..., Iterator[Mapping[str, Any]]] = getattr(importlib.import_module(module), function)
        for number, stated in enumerate(draw(split=self.split, size=self.size, seed=_SEED), 1):
            image = stated["image"]
            images: list[bytes | SameAs] = [image] if isinstance(image, bytes) else list(image)
            values = {name: as_text(value) for name, value in stated.items() if name != "image"}
            yield RawRow(f"mini {self.where}", number, values, {"image": images})

    def whole(self, rows: int) -> None:
        """Drawn, not published."""
