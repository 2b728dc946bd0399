"""From items to rows: balanced letters, option columns, targets, and the row number that decides everything."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tasks.mini.scenes.canvas import png
from tasks.mini.scenes.item import Item, Rng, Skill, buckets, draw, generator, some
from tasks.mini.scenes.words import ANSWER, Text, Word, say

Row = dict[str, object]
Rows = Callable[..., Iterator[Row]]
LETTERS = string.ascii_uppercase
SIZE = 200
GROUPS = 120
#: The passes of a circular group have index, index + STEP, index + 2 * STEP, ...
STEP = 1_000_000


class Drawn(NamedTuple):
    """An item with its row number, its label of the plan, and a generator for what the row still has to draw."""

    number: int
    label: str
    item: Item
    turn: int
    rng: Rng
    key: tuple[object, ...]
    skill: str

    def columns(self) -> Row:
        """The columns that every task shares."""
        pictures = [png(pixels) for pixels in self.item.images]
        image: object = pictures[0] if len(pictures) == 1 else pictures
        return {"index": self.number, "image": image, "skill": self.skill, "table": self.item.table}


def draws(task: str, plan: Sequence[tuple[str, Sequence[Skill]]], split: str, size: int, seed: int) -> Iterator[Drawn]:
    """Items number 0 to size - 1: labels take turns, and within a label its skills do.

    Every item depends on (task, split, seed, number) alone, so that a longer draw begins like a shorter one; test and
    validation items are all different.
    """
    buckets(split)
    seen: set[tuple[bytes, Text]] | None = None if split == "train" else set()
    for number in range(size):
        label, skills = plan[number % len(plan)]
        round_ = number // len(plan)
        skill = skills[round_ % len(skills)]
        key = (task, split, seed, label, skill.__name__)
        rng = generator(*key, number)
        yield Drawn(number, label, draw(skill, split, rng, seen), round_ // len(skills), rng, key, skill.__name__)


def options(drawn: Drawn, limit: int = 4) -> tuple[list[Word], str]:
    """The options and the right letter: among `n` options every letter is right once in `n` turns."""
    item = drawn.item
    wrong = some(drawn.rng, item.others, limit - 1)
    count = len(wrong) + 1
    order = generator(*drawn.key, drawn.turn // count).permutation(count)
    at = int(order[drawn.turn % count])
    return [*wrong[:at], item.answer, *wrong[at:]], LETTERS[at]


def lettered(texts: Sequence[object], limit: int = 4) -> Row:
    """The option columns A, B, ...; None where there is no such option."""
    return {LETTERS[i]: texts[i] if i < len(texts) else None for i in range(limit)}


def sentence(item: Item, chinese: bool = False) -> str:
    """What an ideal model says in words: its observation, and the answer unless the observation ends with it."""
    return conclusion(item.because, item.answer, chinese)


def conclusion(because: Text, answer: Word, chinese: bool = False) -> str:
    """An observation, and the answer unless the observation ends with it."""
    seen, said = because.say(chinese), say(answer, chinese)
    if seen.endswith(said):
        return seen
    return f"{seen}，所以{said}" if chinese else f"{seen}, so {said}"


def reasoned(item: Item, letter: str, chinese: bool = False) -> str:
    """The sentence, then the option's letter in brackets."""
    return f"{sentence(item, chinese)} ({letter})"


def concluded(item: Item, letter: str) -> str:
    """The sentence, then the letter where our strict reading looks for it (harness.scoring.official_mcq)."""
    return f"{sentence(item)}{ANSWER} ({letter})"


def choice_row(drawn: Drawn, limit: int = 4) -> Row:
    """The shared columns, the question, up to `limit` options in A, B, ... and the right letter."""
    words, letter = options(drawn, limit)
    texts = [say(word) for word in words]
    return {**drawn.columns(), "question": drawn.item.question.say(), **lettered(texts, limit), "answer": letter}


def circular(drawn: Drawn, chinese: bool = False) -> Iterator[Row]:
    """The passes of a circular group: the options rotate, the picture and the question stay."""
    words, letter = options(drawn)
    at = LETTERS.index(letter)
    shared = drawn.columns()
    for shift in range(len(words)):
        turned = [say(word, chinese) for word in (*words[shift:], *words[:shift])]
        right = LETTERS[(at - shift) % len(words)]
        yield {
            **shared,
            "index": drawn.number + shift * STEP,
            "question": drawn.item.question.say(chinese),
            "hint": None,
            **lettered(turned),
            "answer": right,
            "target": reasoned(drawn.item, right, chinese),
        }
