"""What a chunk of training examples holds: drills, bare questions with their sentences, and rows of all tasks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache

import numpy as np

from harness.api import HarnessError
from tasks.mini.build import sentence
from tasks.mini.scenes import charts, diagrams, objects, pairs, posters, puzzles
from tasks.mini.scenes.item import Skill, draw
from trainers.zoo import drills
from trainers.zoo.data import Question, load_questions, mini_tasks
from trainers.zoo.drills import Drill, talk

#: Seed 0 is the harness's own train split.
_FIRST_SEED = 1


@cache
def skills() -> tuple[Skill, ...]:
    """All scenes of the mini edition: the functions of the scene modules that draw an item."""
    modules = (objects, charts, diagrams, puzzles, pairs, posters)
    own = [f for m in modules for f in vars(m).values() if inspect.isfunction(f) and f.__module__ == m.__name__]
    return tuple(f for f in own if f.__name__[0] != "_" and list(inspect.signature(f).parameters) == ["rng"])


def explained(number: int, seed: int) -> Iterator[Drill]:
    """`number` train items of all scenes in turn: the bare question, and the sentence that answers it."""
    rng = np.random.default_rng([seed, 0xE719])
    for i in range(number):
        item = draw(skills()[i % len(skills())], "train", rng)
        yield talk(item.images, [(item.question.say(), f"{sentence(item)}.")])


def rows(number: int, seed: int) -> Iterator[Question]:
    """`number` train rows, the tasks sharing them evenly."""
    tasks = mini_tasks()
    yield from load_questions("train", -(-number // len(tasks)), _FIRST_SEED + seed, tasks)[:number]


def drill(make: Callable[[np.random.Generator], Drill]) -> Callable[[int, int], Iterator[Drill]]:
    """A source of drills of one kind."""

    def source(number: int, seed: int) -> Iterator[Drill]:
        rng = np.random.default_rng([seed, *make.__name__.encode()])
        return (make(rng) for _ in range(number))

    return source


KINDS: Mapping[str, Callable[[int, int], Iterator[Question | Drill]]] = {
    "rows": rows,
    "explained": explained,
    **{make.__name__: drill(make) for make in drills.KINDS},
}


def examples(mix: Mapping[str, int], number: int, seed: int) -> Iterator[Question | Drill]:
    """About `number` examples, each kind with its part."""
    unknown = sorted(set(mix) - set(KINDS))
    if unknown:
        raise HarnessError(f"there is no kind of example called {unknown[0]!r}", f"use one of {', '.join(KINDS)}")
    total = sum(mix.values())
    for kind, part in mix.items():
        yield from KINDS[kind](number * part // total, seed)
