"""Drills: many true sentences about one picture, in the words of the mini edition; far denser than one question each.

A mini answer such as `The red bar is 4, so the answer is B` has two parts. `look` and `read_bars` practise the first
(one picture, up to eight sentences in random order), `find_options` the second (the letter of an option's text).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np

from harness.api import Image, Request
from tasks.mini.scenes import charts, diagrams, objects, pairs, posters, puzzles
from tasks.mini.scenes.canvas import CELL, COLORS, SHAPES, SIDE, Pixels, blank, png, stamp
from tasks.mini.scenes.charts import NUMBERS, bars
from tasks.mini.scenes.item import Skill, draw
from tasks.mini.scenes.words import WORDS, Text, Word, thing

Rng = np.random.Generator
Drill = tuple[Request, str]
_GRID = SIDE // CELL
_LETTERS = "ABCDEFGHIJ"
_CHINESE = 0.25
_SENTENCES = 8


def _pick(rng: Rng, values: Sequence[str], k: int) -> list[str]:
    return [values[i] for i in rng.permutation(len(values))[:k]]


def _tell(rng: Rng, pixels: Pixels, facts: Sequence[Text]) -> Drill:
    """Some of the facts in random order, one a line."""
    chinese = bool(rng.random() < _CHINESE)
    chosen = [facts[i] for i in rng.permutation(len(facts))[:_SENTENCES]]
    return Request((Image.from_bytes(png(pixels)),)), "\n".join(fact.say(chinese) for fact in chosen)


def _quarter(row: int, column: int) -> str:
    return f"{'top' if row < _GRID / 2 else 'bottom'} {'left' if column < _GRID / 2 else 'right'}"


def _scene(objects: Sequence[tuple[str, str]], cells: Sequence[tuple[int, int]]) -> Pixels:
    pixels = blank()
    for (shape, color), (row, column) in zip(objects, cells, strict=True):
        stamp(pixels, shape, color, column * CELL, row * CELL)
    return pixels


def _cells(rng: Rng, number: int) -> list[tuple[int, int]]:
    return [(int(cell) // _GRID, int(cell) % _GRID) for cell in rng.permutation(_GRID * _GRID)[:number]]


def _side(a: tuple[int, int], b: tuple[int, int]) -> str:
    """Where `a` lies relative to `b`; empty unless they share a row or a column."""
    if a[0] == b[0]:
        return "left of" if a[1] < b[1] else "right of"
    if a[1] == b[1]:
        return "above" if a[0] < b[0] else "below"
    return ""


def look(rng: Rng) -> Drill:
    """Three to six objects that differ in colour and shape: what, where, and beside what."""
    number = int(rng.integers(3, 7))
    shapes, colors, cells = _pick(rng, SHAPES, number), _pick(rng, COLORS, number), _cells(rng, number)
    facts = [Text("There are {} {}", (number, "objects"))]
    for i in range(number):
        facts.append(Text("The {} object is a {}", (colors[i], shapes[i])))
        facts.append(Text("The {} is {}", (shapes[i], colors[i])))
        facts.append(Text("The {} is at the {}", (shapes[i], _quarter(*cells[i]))))
        for j in range(number):
            side = _side(cells[i], cells[j]) if i != j else ""
            if side:
                facts.append(Text("The {} is {} the {}", (shapes[i], side, shapes[j])))
            if side in ("left of", "right of") and abs(cells[i][1] - cells[j][1]) == 1:
                words = (colors[j], shapes[j], side, shapes[i])
                facts.append(Text("The {} object is a {} and {} it is a {}", words))
    return _tell(rng, _scene(list(zip(shapes, colors, strict=True)), cells), facts)


def count(rng: Rng) -> Drill:
    """Four to eleven objects of two shapes and three colours: how many of each."""
    number = int(rng.integers(4, 12))
    shapes, colors = _pick(rng, SHAPES, 2), _pick(rng, COLORS, 3)
    kinds = [(shapes[int(rng.integers(2))], colors[int(rng.integers(3))]) for _ in range(number)]
    facts = []
    for shape in shapes:
        facts.append((sum(kind[0] == shape for kind in kinds), Text("{}s", (shape,))))
        facts.extend((kinds.count((shape, color)), Text("{} {}s", (color, shape))) for color in colors)
    facts.extend((sum(kind[1] == color for kind in kinds), Text("{} objects", (color,))) for color in colors)
    said = [Text("There are {} {}", (n, what)) for n, what in facts if n > 0]
    return _tell(rng, _scene(kinds, _cells(rng, number)), said)


def read_bars(rng: Rng) -> Drill:
    """Four bars of random heights: values, extremes, neighbours."""
    values = tuple(int(v) for v in rng.choice(NUMBERS, 4))
    colors = _pick(rng, COLORS, 4)
    facts = []
    for i in range(4):
        facts.append(Text("The {} bar is {}", (colors[i], values[i])))
        j = (i + int(rng.integers(1, 4))) % 4
        words: tuple[Word, ...] = (colors[i], values[i], colors[j], values[j])
        facts.append(Text("The {} bar is {} and the {} bar is {}", words))
    for word, value in (("highest", max(values)), ("lowest", min(values))):
        if values.count(value) == 1:
            facts.append(Text(f"The {word} bar is {{}}", (colors[values.index(value)],)))
    level = int(rng.integers(2, 6))
    facts.append(Text("Higher than {}: {} bars", (level, sum(v > level for v in values))))
    top = values.index(max(values))
    for side, beside in (("left", top - 1), ("right", top + 1)):
        if values.count(values[top]) == 1 and 0 <= beside < 4:
            facts.append(
                Text(f"The highest bar is {{}} and the bar {side} of it is {{}}", (colors[top], colors[beside]))
            )
    return _tell(rng, bars(values, colors), facts)


def find_options(rng: Rng) -> Drill:
    """No picture: option lines, and the letter of each in random order."""
    number = int(rng.integers(2, 7))
    chinese = bool(rng.random() < _CHINESE)
    things = [thing(color, shape) for color in COLORS for shape in SHAPES]
    pools: tuple[Sequence[Word], ...] = (COLORS, SHAPES, tuple(range(13)), things, tuple(WORDS))
    pool = pools[int(rng.integers(len(pools)))]
    texts = [Text("{}", (pool[i],)).say(chinese) for i in rng.permutation(len(pool))[:number]]
    mark = "\n{}. {}" if rng.random() < 0.7 else "\n({}) {}"
    lines = "".join(mark.format(letter, text) for letter, text in zip(_LETTERS, texts, strict=False))
    form = "{} {}" if rng.random() < 0.5 else "{}，所以答案是 {}" if chinese else "{}, so the answer is {}"
    said = [form.format(texts[i], _LETTERS[i]) for i in rng.permutation(number)[:4]]
    return Request((lines,)), "\n".join(said)


@cache
def skills() -> tuple[Skill, ...]:
    """All scenes of the mini edition: the functions of the scene modules that draw an item."""
    modules = (objects, charts, diagrams, puzzles, pairs, posters)
    own = [f for m in modules for f in vars(m).values() if inspect.isfunction(f) and f.__module__ == m.__name__]
    return tuple(f for f in own if f.__name__[0] != "_" and list(inspect.signature(f).parameters) == ["rng"])


def explained(number: int, seed: int) -> Iterator[Drill]:
    """`number` train items of all scenes in turn: the bare question, and the sentence that leads to the answer."""
    rng = np.random.default_rng([seed, 0xE719])
    for i in range(number):
        item = draw(skills()[i % len(skills())], "train", rng)
        pictures = tuple(Image.from_bytes(png(pixels)) for pixels in item.images)
        yield Request((*pictures, item.question.say())), item.because.say()


_KINDS: tuple[Callable[[Rng], Drill], ...] = (look, find_options, read_bars, look, count)


def drills(number: int, seed: int) -> Iterator[Drill]:
    """`number` drills, the kinds in turn."""
    rng = np.random.default_rng([seed, 0xD711])
    return (_KINDS[i % len(_KINDS)](rng) for i in range(number))
