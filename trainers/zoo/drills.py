"""Drills that a run begins with: many short lookups in one sequence, far denser than one question a picture.

`describe` names the objects of a picture in random order (`red circle, blue ring`: the shape that goes with a colour,
and the other ways round), `bars` reads all bars of a chart, `options` finds the letters of option texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from harness.api import Image, Request
from tasks.mini.scenes.canvas import CELL, COLORS, SHAPES, SIDE, Pixels, blank, png, stamp
from tasks.mini.scenes.charts import NUMBERS, bars
from tasks.mini.scenes.words import WORDS

Rng = np.random.Generator
Drill = tuple[Request, str]
_GRID = SIDE // CELL
_LETTERS = "ABCDEFGHIJ"


def _pick(rng: Rng, values: Sequence[str], k: int) -> list[str]:
    return [values[i] for i in rng.permutation(len(values))[:k]]


def _quarter(cell: int) -> str:
    return f"{'top' if cell // _GRID < _GRID / 2 else 'bottom'} {'left' if cell % _GRID < _GRID / 2 else 'right'}"


def _list(pairs: Sequence[tuple[str, str]], chinese: bool) -> str:
    if chinese:
        return "，".join(WORDS[a] + WORDS.get(b, b) for a, b in pairs) + "。"
    return ", ".join(f"{a} {b}" for a, b in pairs) + "."


def _ask(pixels: Pixels) -> Request:
    return Request((Image.from_bytes(png(pixels)),))


def describe(rng: Rng) -> Drill:
    """Up to six objects; each named by one property and completed by another."""
    number = int(rng.integers(3, 7))
    shapes, colors = _pick(rng, SHAPES, number), _pick(rng, COLORS, number)
    cells = [int(cell) for cell in rng.permutation(_GRID * _GRID)[:number]]
    pixels = blank()
    for shape, color, cell in zip(shapes, colors, cells, strict=True):
        stamp(pixels, shape, color, cell % _GRID * CELL, cell // _GRID * CELL)
    places = [_quarter(cell) for cell in cells]
    ways = ((colors, shapes), (shapes, colors), (colors, places), (shapes, places))
    first, second = ways[int(rng.integers(len(ways)))]
    return _ask(pixels), _list(list(zip(first, second, strict=True)), bool(rng.random() < 0.2))


def read_bars(rng: Rng) -> Drill:
    """Four bars of random heights, read in random order."""
    values = tuple(int(v) for v in rng.choice(NUMBERS, 4))
    colors = _pick(rng, COLORS, 4)
    pairs = [(colors[i], str(values[i])) for i in rng.permutation(4)]
    return _ask(bars(values, colors)), _list(pairs, bool(rng.random() < 0.2))


def find_options(rng: Rng) -> Drill:
    """No picture: option lines, and the letter of each in random order."""
    number = int(rng.integers(2, 5))
    chinese = bool(rng.random() < 0.2)
    pool = [WORDS[w] for w in WORDS] if chinese else [*WORDS, *map(str, range(15))]
    texts = _pick(rng, pool, number)
    mark = "\n{}. {}" if rng.random() < 0.8 else "\n({}) {}"
    lines = "".join(mark.format(letter, text) for letter, text in zip(_LETTERS, texts, strict=False))
    said = ", ".join(f"{texts[i]} {_LETTERS[i]}" for i in rng.permutation(number)) + "."
    return Request((lines,)), said


_KINDS: tuple[Callable[[Rng], Drill], ...] = (describe, describe, read_bars, find_options)


def drills(number: int, seed: int) -> Iterator[Drill]:
    """`number` drills, the kinds in turn."""
    rng = np.random.default_rng([seed, 0xD711])
    return (_KINDS[i % len(_KINDS)](rng) for i in range(number))
