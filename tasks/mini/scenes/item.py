"""One drawn question, the random draws behind it, and the split it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from harness.api import HarnessError
from tasks.mini.scenes.canvas import Pixels
from tasks.mini.scenes.words import Text, Word

T = TypeVar("T")
Rng = np.random.Generator
#: Share of all possible pictures that belongs to a split, in sixteenths of the hash space.
BUCKETS = {"test": range(0, 2), "validation": range(2, 4), "train": range(4, 16)}


@dataclass(frozen=True, slots=True)
class Item:
    """A question about pictures. `others` are the plausible wrong answers; `because` is the sentence that a person
    would say on the way to the answer, without its full stop; `table` names the real data of a chart.
    """

    images: tuple[Pixels, ...]
    question: Text
    answer: Word
    others: tuple[Word, ...]
    because: Text
    table: str = ""


Skill = Callable[[Rng], Item]


def one(rng: Rng, values: Sequence[T]) -> T:
    """One of the values, all equally likely."""
    return values[int(rng.integers(len(values)))]


def some(rng: Rng, values: Sequence[T], k: int) -> list[T]:
    """`k` different values in random order."""
    return [values[i] for i in rng.permutation(len(values))[:k]]


def flip(rng: Rng) -> bool:
    """True or False, equally likely."""
    return bool(rng.integers(2))


def without(values: Sequence[T], *taken: T) -> list[T]:
    """The values that are not among `taken`, in order."""
    return [value for value in values if value not in taken]


def generator(*key: object) -> Rng:
    """A random generator that depends on every part of the key and on nothing else."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def digest(images: Sequence[Pixels]) -> bytes:
    """Content hash of the pictures of an item."""
    state = hashlib.blake2b(digest_size=16)
    for pixels in images:
        state.update(pixels.tobytes())
    return state.digest()


def buckets(split: str) -> range:
    """The hash buckets of a split: pictures of different splits differ by construction, in all tasks alike."""
    if split not in BUCKETS:
        raise HarnessError(f"the mini edition has no split {split!r}", f"use one of {', '.join(BUCKETS)}")
    return BUCKETS[split]


def draw(skill: Skill, split: str, rng: Rng, seen: set[tuple[bytes, Text]] | None = None) -> Item:
    """The skill's next item whose pictures fall into the split and, with `seen`, that was not drawn before."""
    wanted = buckets(split)
    for _ in range(2000):
        item = skill(rng)
        key = digest(item.images)
        if key[0] % 16 not in wanted:
            continue
        if seen is None:
            return item
        if (key, item.question) not in seen:
            seen.add((key, item.question))
            return item
    raise HarnessError(f"the scene {skill.__name__} has no further item for the split {split!r}", "ask for fewer rows")
