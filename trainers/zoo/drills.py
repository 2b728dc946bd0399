"""Drills: several short questions about one picture, in the words of the mini edition; denser than one question each.

A mini answer such as `The red bar is 4, so the answer is B` has two parts. `look`, `count` and `read_bars` practise the
first, `find_options` the second (the letter of an option's text). Every token that is learned follows from what stands
before it: a drill that also learns tokens nobody can know (which object comes next) does not get off the ground. For
the same reason a bare question is answered as MM-Vet's rows answer it, word for word and with the full stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.api import Image
from tasks.mini.build import conclusion
from tasks.mini.scenes import posters
from tasks.mini.scenes.canvas import CELL, COLORS, SHAPES, SIDE, Pixels, blank, box, png, stamp
from tasks.mini.scenes.charts import NUMBERS, bars, table
from tasks.mini.scenes.words import ANSWER, WORDS, Text, Word, thing
from trainers.zoo.tokenizer import ASSISTANT, END, IMAGE, USER

Rng = np.random.Generator
_GRID = SIDE // CELL
_LETTERS = "ABCDEFGHIJ"
_CHINESE = 0.25
_FACTS, _CELLS = 4, 6


class Fact(NamedTuple):
    """A question, what is seen, and the answer."""

    question: Text
    because: Text
    answer: Word


class Drill(NamedTuple):
    """Pictures, and turns of (what is given, what is learned): raw text in the chat format."""

    images: tuple[Image, ...]
    turns: tuple[tuple[str, str], ...]


def _pick(rng: Rng, values: Sequence[str], k: int) -> list[str]:
    return [values[i] for i in rng.permutation(len(values))[:k]]


def talk(images: Sequence[Pixels], said: Sequence[tuple[str, str]]) -> Drill:
    """Questions and answers as a conversation about the pictures."""
    turns = tuple((f"{USER}{question}{ASSISTANT}", f"{answer}{END}") for question, answer in said)
    first, answer = turns[0]
    shown = first.replace(USER, USER + IMAGE * len(images), 1)
    return Drill(tuple(Image.from_bytes(png(pixels)) for pixels in images), ((shown, answer), *turns[1:]))


def _tell(rng: Rng, pixels: Pixels, facts: Sequence[Fact]) -> Drill:
    """Some of the facts in random order."""
    chinese = bool(rng.random() < _CHINESE)
    chosen = [facts[i] for i in rng.permutation(len(facts))[:_FACTS]]
    stop = "" if chinese else "."
    said = [(fact.question.say(chinese), conclusion(fact.because, fact.answer, chinese) + stop) for fact in chosen]
    return talk([pixels], said)


def _fact(question: str, asked: tuple[Word, ...], form: str, words: tuple[Word, ...], at: int = -1) -> Fact:
    """`at`: which of the words is the answer."""
    return Fact(Text(question, asked), Text(form, words), words[at])


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


def _pairs(pixels: Pixels, pairs: Sequence[tuple[str, str]], chinese: bool) -> Drill:
    """One word is given, another is learned: `red` -> `circle`. The first pair, given whole, says which way."""
    said = [(WORDS[a], WORDS.get(b, b)) if chinese else (a, f" {b}") for a, b in pairs]
    turns = [["\n" + given, learned] for given, learned in said[1:]]
    turns[0][0] = f"{USER}{IMAGE}{ASSISTANT}{''.join(said[0])}{turns[0][0]}"
    turns[-1][1] += END
    return Drill((Image.from_bytes(png(pixels)),), tuple((given, learned) for given, learned in turns))


def match(rng: Rng) -> Drill:
    """Six objects that differ in colour and shape: each named by one property and completed by another."""
    shapes, colors, cells = _pick(rng, SHAPES, 6), _pick(rng, COLORS, 6), _cells(rng, 6)
    places = [_quarter(*cell) for cell in cells]
    ways = ((colors, shapes), (shapes, colors), (shapes, places), (colors, places))
    first, second = ways[int(rng.integers(len(ways)))]
    pixels = _scene(list(zip(shapes, colors, strict=True)), cells)
    return _pairs(pixels, list(zip(first, second, strict=True)), bool(rng.random() < _CHINESE))


def match_marks(rng: Rng) -> Drill:
    """Six coloured boxes with a white or black mark each, as in diagrams and on pages: colour, mark and place."""
    shapes, colors, cells = _pick(rng, SHAPES, 6), _pick(rng, COLORS, 6), _cells(rng, 6)
    pixels, ink = blank(), _pick(rng, ("white", "black"), 1)[0]
    for shape, color, (row, column) in zip(shapes, colors, cells, strict=True):
        box(pixels, color, column * CELL, row * CELL, CELL, CELL)
        stamp(pixels, shape, ink, column * CELL + 1, row * CELL + 1, CELL - 2)
    places = [_quarter(*cell) for cell in cells]
    ways = ((colors, shapes), (shapes, colors), (shapes, places))
    first, second = ways[int(rng.integers(len(ways)))]
    return _pairs(pixels, list(zip(first, second, strict=True)), bool(rng.random() < _CHINESE))


def match_table(rng: Rng) -> Drill:
    """A table with coloured heads: a row's and a column's colour, and the shape of their cell."""
    rows, columns, shapes = _pick(rng, COLORS, 3), _pick(rng, COLORS, 3), [_pick(rng, SHAPES, 1)[0] for _ in range(9)]
    named = [(f"{rows[at // 3]} {columns[at % 3]}", shapes[at]) for at in range(9)]
    return _pairs(table(rows, columns, shapes), [named[i] for i in rng.permutation(9)[:6]], False)


def match_bars(rng: Rng) -> Drill:
    """Four bars: colour and value."""
    values = tuple(int(v) for v in rng.choice(NUMBERS, 4))
    colors = _pick(rng, COLORS, 4)
    pairs = [(colors[i], str(values[i])) for i in rng.permutation(4)]
    return _pairs(bars(values, colors), pairs, bool(rng.random() < _CHINESE))


def look(rng: Rng) -> Drill:
    """Three to six objects that differ in colour and shape: what, where, and beside what."""
    number = int(rng.integers(3, 7))
    shapes, colors, cells = _pick(rng, SHAPES, number), _pick(rng, COLORS, number), _cells(rng, number)
    facts = [_fact("How many {} are there?", ("objects",), "There are {} {}", (number, "objects"), 0)]
    for i in range(number):
        shape, color, place = shapes[i], colors[i], _quarter(*cells[i])
        facts.append(_fact("What shape is the {} object?", (color,), "The {} object is a {}", (color, shape)))
        facts.append(_fact("What color is the {}?", (shape,), "The {} is {}", (shape, color)))
        facts.append(_fact("Where is the {}?", (shape,), "The {} is at the {}", (shape, place)))
        for j in range(number):
            side = _side(cells[i], cells[j]) if i != j else ""
            if side:
                pair = (shape, shapes[j])
                words = (shape, side, shapes[j])
                facts.append(_fact("Where is the {} relative to the {}?", pair, "The {} is {} the {}", words, 1))
            if side in ("left of", "right of") and abs(cells[i][1] - cells[j][1]) == 1:
                told = (colors[j], shapes[j], side, shape)
                answer = "The {} object is a {} and {} it is a {}"
                facts.append(_fact("What shape is {} the {} object?", (side, colors[j]), answer, told))
    return _tell(rng, _scene(list(zip(shapes, colors, strict=True)), cells), facts)


def count(rng: Rng) -> Drill:
    """Two to eight objects of two shapes and three colours: how many of each."""
    number = int(rng.integers(2, 9))
    shapes, colors = _pick(rng, SHAPES, 2), _pick(rng, COLORS, 3)
    kinds = [(shapes[int(rng.integers(2))], colors[int(rng.integers(3))]) for _ in range(number)]
    counts = [(sum(kind[0] == shape for kind in kinds), Text("{}s", (shape,))) for shape in shapes]
    counts += [(sum(kind[1] == color for kind in kinds), Text("{} objects", (color,))) for color in colors]
    counts += [(kinds.count((shape, color)), Text("{} {}s", (color, shape))) for shape in shapes for color in colors]
    facts = [_fact("How many {} are there?", (what,), "There are {} {}", (n, what), 0) for n, what in counts if n]
    return _tell(rng, _scene(kinds, _cells(rng, number)), facts)


def read_bars(rng: Rng) -> Drill:
    """Four bars of random heights: values, extremes, neighbours."""
    values = tuple(int(v) for v in rng.choice(NUMBERS, 4))
    colors = _pick(rng, COLORS, 4)
    facts = [
        _fact("What is the value of the {} bar?", (color,), "The {} bar is {}", (color, value))
        for color, value in zip(colors, values, strict=True)
    ]
    for word, value in (("highest", max(values)), ("lowest", min(values))):
        if values.count(value) == 1:
            color = colors[values.index(value)]
            facts.append(_fact(f"What color is the {word} bar?", (), f"The {word} bar is {{}}", (color,)))
    level = int(rng.integers(2, 6))
    above = sum(v > level for v in values)
    facts.append(_fact("How many bars are higher than {}?", (level,), "Higher than {}: {} bars", (level, above)))
    top = values.index(max(values))
    for side, beside in (("left", top - 1), ("right", top + 1)):
        if values.count(values[top]) == 1 and 0 <= beside < 4:
            question = f"What color is the bar {side} of the highest bar?"
            answer = f"The highest bar is {{}} and the bar {side} of it is {{}}"
            facts.append(_fact(question, (), answer, (colors[top], colors[beside])))
    return _tell(rng, bars(values, colors), facts)


def find_options(rng: Rng) -> Drill:
    """No picture: option lines, and the letter of each in random order, as a reasoned answer names it."""
    number, chinese = int(rng.integers(2, 11)), bool(rng.random() < _CHINESE)
    texts = _texts(rng, number, chinese)
    between = ANSWER if rng.random() < 0.5 else ""
    turns = [[f" {texts[i]}{between}", f" ({_LETTERS[i]})"] for i in rng.permutation(number)[:4]]
    turns[0][0] = f"{USER}{_lines(rng, texts)}{ASSISTANT}{turns[0][0]}"
    turns[-1][1] += END
    return Drill((), tuple((given, learned) for given, learned in turns))


def name_option(rng: Rng) -> Drill:
    """No picture: a word, option lines, and the letter and the text of the option that is the word."""
    texts = _texts(rng, int(rng.integers(2, 7)), bool(rng.random() < _CHINESE))
    at, colon = int(rng.integers(len(texts))), bool(rng.random() < 0.3)
    lines = ",".join(f" {letter}: {text}" for letter, text in zip(_LETTERS, texts, strict=False))
    shown = f"\nOptions:{lines}" if colon else _lines(rng, texts)
    answer = f"{_LETTERS[at]}{':' if colon else '.'} {texts[at]}{END}"
    return Drill((), ((f"{USER}What is {texts[at]}?{shown}{ASSISTANT}", answer),))


def _texts(rng: Rng, number: int, chinese: bool) -> list[str]:
    things = [thing(color, shape) for color in COLORS for shape in SHAPES]
    pools: tuple[Sequence[Word], ...] = (COLORS, SHAPES, tuple(range(1, 13)), things, tuple(WORDS))
    pool = [p for p in pools if len(p) >= number][int(rng.integers(sum(len(p) >= number for p in pools)))]
    return [Text("{}", (pool[i],)).say(chinese) for i in rng.permutation(len(pool))[:number]]


def _lines(rng: Rng, texts: Sequence[str]) -> str:
    mark = "\n{}. {}" if rng.random() < 0.6 else "\n({}) {}"
    return "".join(mark.format(letter, text) for letter, text in zip(_LETTERS, texts, strict=False))


def grid(rng: Rng) -> Drill:
    """Up to eight objects: what every cell holds, row by row."""
    number = int(rng.integers(1, 9))
    kinds = [(_pick(rng, SHAPES, 1)[0], _pick(rng, COLORS, 1)[0]) for _ in range(number)]
    cells = _cells(rng, number)
    held = dict(zip(cells, kinds, strict=True))
    told = [held.get((row, column)) for row in range(_GRID) for column in range(_GRID)]
    words = "".join(f" {kind[1]} {kind[0]}" if kind else " no" for kind in told)
    return Drill((Image.from_bytes(png(_scene(kinds, cells))),), ((f"{USER}{IMAGE}{ASSISTANT}", words + END),))


def find_cells(rng: Rng) -> Drill:
    """The ten options of a poster: the letter of each, as its place in the picture says."""
    things = [(shape, color) for color in COLORS for shape in SHAPES]
    kinds = [things[i] for i in rng.permutation(len(things))[: posters.OPTIONS]]
    pixels = blank()
    posters.show(pixels, kinds)
    order = rng.permutation(posters.OPTIONS)[:_CELLS]
    turns = [[f" {thing(*kinds[i][::-1]).say()}", f" ({_LETTERS[i]})"] for i in order]
    turns[0][0] = f"{USER}{IMAGE}{ASSISTANT}{turns[0][0]}"
    turns[-1][1] += END
    return Drill((Image.from_bytes(png(pixels)),), tuple((given, learned) for given, learned in turns))


KINDS = (
    find_options,
    name_option,
    find_cells,
    grid,
    match,
    match_marks,
    match_table,
    match_bars,
    look,
    count,
    read_bars,
)
