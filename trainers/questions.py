"""Training questions: what is asked, the gold answer, the text an ideal model says, and the order they come in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from harness import registry
from harness.api import OFFICIAL, HarnessError, Request, Rules, Sample, Task
from harness.data import Dataset, open_dataset, open_questions
from harness.data.placeholders import interleave
from harness.scoring.prompts import lettered
from trainers.recipe import Data

_MINI = "mini"


@dataclass(frozen=True, slots=True)
class TrainingQuestion:
    """One question. `key` is its content (prompt, images, gold); `target` what a gold-trained student should say;
    `rules` score a response as the benchmark does, where the question comes from a task.
    """

    key: str
    sample: Sample
    request: Request
    target: str
    rules: Rules | None = None


class Questions(Sequence[TrainingQuestion]):
    """Questions in a fixed order, each built when it is asked for."""

    def __init__(
        self, builders: Sequence[Callable[[int], TrainingQuestion]], places: Sequence[tuple[int, int]]
    ) -> None:
        self._builders = builders
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> TrainingQuestion: ...

    @overload
    def __getitem__(self, index: slice) -> Questions: ...

    def __getitem__(self, index: int | slice) -> TrainingQuestion | Questions:
        if isinstance(index, slice):
            return Questions(self._builders, self._places[index])
        source, row = self._places[index]
        return self._builders[source](row)

    def reordered(self, seed: Sequence[int]) -> Questions:
        """The same questions in an order that `seed` decides."""
        order = np.random.default_rng(list(seed)).permutation(len(self))
        return Questions(self._builders, [self._places[i] for i in order])


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The recipe's questions: those trained on (in the sources' order) and those held out for tuning."""

    train: Questions
    validation: Questions

    def order(self, seed: int) -> Questions:
        """The training questions in the order of a seed: the same for every method."""
        return self.train.reordered([self.order_seed, seed])

    order_seed: int = 0


def open_training_data(data: Data) -> TrainingData:
    """Open the sources of a recipe: `mini` (all tasks), `mini:TASK,TASK`, or a parquet file or folder of questions.

    Drawn sources give exactly the number of questions asked for, the tasks in turn, and their validation questions
    come from a split of their own; stored ones are shuffled by `order_seed` and cut into validation and training.
    """
    builders: list[Callable[[int], TrainingQuestion]] = []
    train: list[tuple[int, int]] = []
    validation: list[tuple[int, int]] = []
    drawn = [source for source in data.sources if _is_mini(source)]
    stored = [source for source in data.sources if not _is_mini(source)]
    if drawn and data.questions is None:
        raise HarnessError("data.sources has mini, which draws any number of questions", "set data.questions")
    for source in drawn:
        share = -(-(data.questions or 0) // len(data.sources))
        train += _draw(source, "train", share, builders)
        validation += _draw(source, "validation", -(-data.validation // len(data.sources)), builders)
    if stored:
        places = [place for source in stored for place in _stored(source, builders)]
        order = np.random.default_rng(data.order_seed).permutation(len(places))
        shuffled = [places[i] for i in order]
        held = max(0, data.validation - len(validation))
        validation += shuffled[:held]
        train += shuffled[held:]
    wanted = len(train) if data.questions is None else data.questions
    if not train or len(train) < wanted:
        raise HarnessError(
            f"{', '.join(data.sources)} has {len(train)} questions to train on, {wanted} were asked for",
            "lower data.questions or data.validation, or name more sources",
        )
    return TrainingData(
        Questions(builders, train[:wanted]), Questions(builders, validation[: data.validation]), data.order_seed
    )


def _is_mini(source: str) -> bool:
    return source == _MINI or source.startswith(f"{_MINI}:")


def _draw(
    source: str, split: str, number: int, builders: list[Callable[[int], TrainingQuestion]]
) -> list[tuple[int, int]]:
    """`number` questions of a mini split, task by task in turn."""
    if not number:
        return []
    named = source.partition(":")[2]
    tasks = [registry.task(name) for name in named.split(",")] if named else [t for t in registry.tasks() if t.mini]
    each = -(-number // len(tasks))
    places: list[tuple[int, int, int]] = []
    for task in tasks:
        dataset = open_dataset(task, _MINI, split=split, size=each)
        builders.append(_of_task(task, dataset))
        places += [(row, len(builders) - 1, row) for row in range(min(each, len(dataset)))]
    return [(builder, row) for _, builder, row in sorted(places)][:number]


def _of_task(task: Task, dataset: Dataset) -> Callable[[int], TrainingQuestion]:
    rules = task.rules[OFFICIAL]

    def build(row: int) -> TrainingQuestion:
        sample = dataset[row]
        target = str(dataset.row(row).get("target") or sample.answer)
        named = replace(sample, id=f"{task.name}/{sample.id}")
        return _question(named, rules.request(sample), target, rules)

    return build


def _stored(source: str, builders: list[Callable[[int], TrainingQuestion]]) -> Iterator[tuple[int, int]]:
    """Every question of a parquet file or folder."""
    dataset = open_questions(source)

    def build(row: int) -> TrainingQuestion:
        sample = dataset[row]
        letter = sample.meta.get("letter")
        if letter:
            sample = replace(sample, answer=str(letter))
        asked = lettered(sample) if sample.choices else sample.question
        return _question(sample, Request(interleave(asked, sample.images)), sample.answer, None)

    builders.append(build)
    return ((len(builders) - 1, row) for row in range(len(dataset)))


def _question(sample: Sample, request: Request, target: str, rules: Rules | None) -> TrainingQuestion:
    if not sample.answer.strip() or not target.strip():
        raise HarnessError(
            f"question {sample.id} has no gold answer", "add it to the training data, or leave the question out"
        )
    said: list[Any] = [part if isinstance(part, str) else part.sha256 for part in (request.system, *request.parts)]
    content = "\x1f".join([*said, "\x1e", sample.answer, target])
    return TrainingQuestion(
        hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest(), sample, request, target, rules
    )
