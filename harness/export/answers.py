"""What every export reads: a cell's items with their responses, verdicts and, where the data lie, images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from harness import registry
from harness.api import HarnessError, Request, Response, Row, Sample, Task, Verdict
from harness.data import Dataset, open_dataset
from harness.store import Result, Store

_CHUNK = 256  # responses that are read together


class Answer(NamedTuple):
    """An item of a cell with its place in the cell."""

    place: int
    sample: Sample
    response: Response
    verdict: Verdict


@dataclass(frozen=True)
class Answers:
    """The answers of one cell of a run; `data` is what --data named, or nothing where it is not known."""

    store: Store
    result: Result
    data: str | None

    @property
    def model(self) -> str:
        """The model's name as a file name."""
        return file_name(self.result.cell.model)

    @cached_property
    def task(self) -> Task:
        """The task."""
        return registry.task(self.result.cell.task)

    def __iter__(self) -> Iterator[Answer]:
        """The answers in the data set's order; images are known by their hash only."""
        rows = self.store.verdicts(self.result.cell)
        samples = self.store.samples(self.result.cell.task)
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            responses = self.store.responses([key for _, key, _ in some])
            for place, (id, key, verdict) in enumerate(some, start):
                yield Answer(place, samples[id], responses[key], verdict)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {sample.id: place for place, sample in enumerate(self._dataset)}

    @cached_property
    def _dataset(self) -> Dataset:
        if self.data is None:
            raise HarnessError(
                f"the run does not say where the items of {self.task.name} come from", "name it: --data mini|hub|FOLDER"
            )
        return open_dataset(self.task, self.data, skip_bad_rows=True)

    def whole(self, sample: Sample) -> Sample:
        """The item with its images' bytes. Raises HarnessError where the data set does not have it."""
        return self._dataset[self._place(sample)]

    def row(self, sample: Sample) -> Row:
        """The item's row in its source."""
        return self._dataset.row(self._place(sample))

    def request(self, sample: Sample) -> Request:
        """What was asked, with the images' bytes."""
        return registry.rules(self.task, self.result.cell.protocol).request(self.whole(sample))

    def _place(self, sample: Sample) -> int:
        if sample.id not in self._places:
            raise HarnessError(f"{self.data} has no item {sample.id} of {self.task.name}", "name its data with --data")
        return self._places[sample.id]


def answers_of(
    store: Store, *, task: str | None, model: str | None, protocol: str | None, data: str | None
) -> list[Answers]:
    """The cells that are named, one for each model and task: of the protocol named, or the first that was asked."""
    chosen: dict[tuple[str, str], Result] = {}
    for result in store.results():
        cell = result.cell
        named = ((task, cell.task), (model, cell.model), (protocol, cell.protocol))
        if all(asked in (None, own) for asked, own in named):
            chosen.setdefault((cell.model, cell.task), result)
    if not chosen:
        have = ", ".join(f"{r.cell.model} {r.cell.task} {r.cell.protocol}" for r in store.results()) or "nothing"
        raise HarnessError(f"{store.folder} has no such results; it has {have}", "name another task, model or protocol")
    where = data or store.meta().get("data")
    return [Answers(store, result, where) for result in chosen.values()]


def file_name(text: str) -> str:
    """Text as a file name: what is no letter, digit, dot or dash becomes `__`, as lmms-eval names models."""
    return re.sub(r"[^\w.-]+", "__", text).strip("_") or "model"


def write_whole(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(text, encoding="utf-8")
    return part.replace(path)
