"""Figures that ask for a count, a reading or a rule: clocks, sums, patterns, grey levels, boxes, symmetry."""

from __future__ import annotations

import math
from itertools import product

from tasks.mini.scenes.canvas import CELL, COLORS, SHAPES, SIDE, Pixels, blank, box, frame, line, stamp
from tasks.mini.scenes.charts import NUMBERS, bars
from tasks.mini.scenes.item import Item, Rng, flip, one, some, without
from tasks.mini.scenes.objects import CELLS, QUARTERS, scene
from tasks.mini.scenes.pairs import ORDINALS, four
from tasks.mini.scenes.tables import BARS, bank, by
from tasks.mini.scenes.words import NO, YES, Text, thing

HOURS = tuple(range(1, 13))
TEN = tuple(range(1, 11))


def subtract(rng: Rng) -> Item:
    """Take the objects of one colour away: how many are left."""
    left, taken = one(rng, range(1, 7)), one(rng, range(1, 6))
    color = one(rng, COLORS)
    colors = [color] * taken + [one(rng, without(COLORS, color)) for _ in range(left)]
    cells = some(rng, CELLS, left + taken)
    return Item(
        (scene([(one(rng, SHAPES), hue, cell) for hue, cell in zip(colors, cells, strict=True)]),),
        Text("Subtract all {} objects. How many objects are left?", (color,)),
        left,
        tuple(without(range(1, 7), left)),
        Text("There are {} objects and {} are {}, {} are left", (left + taken, taken, color, left)),
    )


def add(rng: Rng) -> Item:
    """Count the objects of two colours together."""
    total = one(rng, range(2, 9))
    first = one(rng, range(1, total))
    colors = some(rng, COLORS, 3)
    hues = [colors[0]] * first + [colors[1]] * (total - first) + [colors[2]] * one(rng, range(5))
    cells = some(rng, CELLS, len(hues))
    return Item(
        (scene([(one(rng, SHAPES), hue, cell) for hue, cell in zip(hues, cells, strict=True)]),),
        Text("How many objects are {} or {}?", (colors[0], colors[1])),
        total,
        tuple(without(range(2, 9), total)),
        Text("There are {} {} and {} {}, the sum is {}", (first, colors[0], total - first, colors[1], total)),
    )


def count_ten(rng: Rng) -> Item:
    """Count one to ten objects of one colour among others."""
    number, color = one(rng, TEN), one(rng, COLORS)
    hues = [color] * number + [one(rng, without(COLORS, color)) for _ in range(int(rng.integers(6)))]
    cells = some(rng, CELLS, len(hues))
    return Item(
        (scene([(one(rng, SHAPES), hue, cell) for hue, cell in zip(hues, cells, strict=True)]),),
        Text("How many {} are there?", (Text("{} objects", (color,)),)),
        number,
        tuple(without(TEN, number)),
        Text("There are {} {}", (number, Text("{} objects", (color,)))),
    )


def clock(rng: Rng) -> Item:
    """Read the hour off a dial with one hand."""
    hour, hue = one(rng, HOURS), one(rng, COLORS)
    pixels = blank(one(rng, without(COLORS, hue)))
    stamp(pixels, "circle", "white", 0, 0, SIDE)
    box(pixels, one(rng, COLORS), 0, 0, 8, 8)
    angle, centre = hour * math.pi / 6, SIDE // 2 - 3
    tip_x, tip_y = round(centre + 26 * math.sin(angle)), round(centre - 26 * math.cos(angle))
    line(pixels, hue, centre, centre, tip_x, tip_y, 6)
    question = Text("What hour does the {} hand show?", (hue,))
    return Item((pixels,), question, hour, tuple(without(HOURS, hour)), Text("The {} hand is at {}", (hue, hour)))


def _list(values: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, values))}]"


def bar_list(rng: Rng) -> Item:
    """Read all bars, from left to right; at every place the wrong lists hold the value or one other."""
    series = bank()[one(rng, by("value", lambda values: iter(values))[one(rng, NUMBERS)])]
    values = series.values
    pairs = [(value, one(rng, without(NUMBERS, value))) for value in values]
    every = [_list(chosen) for chosen in product(*pairs)]
    return Item(
        (bars(values, some(rng, COLORS, BARS)),),
        Text("What are the values of the bars from left to right?"),
        Text(_list(values)),
        tuple(Text(other) for other in without(every, _list(values))),
        Text("The bars are {}, {}, {} and {}", values),
        series.table,
    )


def _stepped(rng: Rng, hundredths: int) -> Item:
    """Read a bar where every grid line stands for a part of one."""
    value = one(rng, NUMBERS)
    series = bank()[one(rng, by("value", lambda values: iter(values))[value])]
    at = one(rng, [i for i, v in enumerate(series.values) if v == value])
    colors = some(rng, COLORS, BARS)
    amounts = [Text(str(number * hundredths / 100)) for number in NUMBERS]
    return Item(
        (bars(series.values, colors),),
        Text("Each line is {}. What is the value of the {} bar?", (Text(f"{hundredths / 100}"), colors[at])),
        amounts[value - 1],
        tuple(without(amounts, amounts[value - 1])),
        Text("The {} bar has {} lines", (colors[at], value)),
        series.table,
    )


def bar_half(rng: Rng) -> Item:
    """Grid lines of one half: one decimal place."""
    return _stepped(rng, 50)


def bar_quarter(rng: Rng) -> Item:
    """Grid lines of one quarter: up to two decimal places."""
    return _stepped(rng, 25)


def bar_ends(rng: Rng) -> Item:
    """The colours of the highest and of the lowest bar, in this order: twelve answers."""
    index = by(
        "both ends",
        lambda values: iter([1] if values.count(max(values)) == values.count(min(values)) == 1 else [0]),
    )
    series = bank()[one(rng, index[1])]
    colors = some(rng, COLORS, BARS)
    high, low = colors[series.values.index(max(series.values))], colors[series.values.index(min(series.values))]
    pairs = [Text("{} and {}", (a, b)) for a in colors for b in colors if a != b]
    answer = Text("{} and {}", (high, low))
    return Item(
        (bars(series.values, colors),),
        Text("What color are the highest and the lowest bar?"),
        answer,
        tuple(without(pairs, answer)),
        Text("The highest bar is {} and the lowest bar is {}", (high, low)),
        series.table,
    )


def object_at(rng: Rng) -> Item:
    """Colour and shape of the object in a quarter: wrong answers recombine what the picture shows."""
    shapes, colors, at = some(rng, SHAPES, 4), some(rng, COLORS, 4), int(rng.integers(4))
    answer = thing(colors[at], shapes[at])
    mixed = [thing(color, shape) for color in colors for shape in shapes]
    return Item(
        (four(list(zip(shapes, colors, strict=True))),),
        Text("What is at the {}?", (QUARTERS[at],)),
        answer,
        tuple(without(mixed, answer)),
        Text("At the {} is the {}", (QUARTERS[at], answer)),
    )


def describe(rng: Rng) -> Item:
    """Name the two objects of the picture, from left to right."""
    kinds = list(zip(some(rng, SHAPES, 2), some(rng, COLORS, 2), strict=True))
    rows = (int(rng.integers(2)), int(rng.integers(2)))
    quarters: list[tuple[str, str] | None] = [None] * 4
    for column, (row, kind) in enumerate(zip(rows, kinds, strict=True)):
        quarters[row * 2 + column] = kind
    names = [thing(color, shape) for shape, color in kinds]
    return Item(
        (four(quarters),),
        Text("Describe the image."),
        Text("{} and {}", tuple(names)),
        (Text("{} and {}", tuple(names[::-1])),),
        Text("The image shows a {} and a {}", tuple(names)),
    )


def matrix(rng: Rng) -> Item:
    """Two by two: rows share a colour, columns a shape; which of four candidates completes it."""
    shapes, colors, at = some(rng, SHAPES, 2), some(rng, COLORS, 2), int(rng.integers(4))
    pixels = blank()
    for number, (row, column) in enumerate(((0, 0), (0, 1), (1, 0))):
        stamp(pixels, shapes[column], colors[row], CELL + number % 2 * CELL, number // 2 * CELL)
    box(pixels, "gray", 2 * CELL + 2, CELL + 2, 12, 12)
    box(pixels, "black", 0, 38, SIDE, 2)
    right = (shapes[1], colors[1])
    every = [(shape, color) for shape in shapes for color in colors if (shape, color) != right]
    wrong = some(rng, every, 3)
    for number, (shape, color) in enumerate([*wrong[:at], right, *wrong[at:]]):
        stamp(pixels, shape, color, number * CELL, SIDE - CELL)
    return Item(
        (pixels,),
        Text("Which object fits the gray part?"),
        ORDINALS[at],
        tuple(without(ORDINALS, ORDINALS[at])),
        Text("The missing object is the {}", (thing(colors[1], shapes[1]),)),
    )


def darker(rng: Rng) -> Item:
    """Two framed grey squares: which is darker, or are both about the same."""
    colors, relation = some(rng, COLORS, 2), int(rng.integers(3))
    dark, light = sorted(some(rng, (40, 90, 140, 190), 2))
    levels = ((dark, light), (light, dark), (dark, dark))[relation]
    pixels = blank()
    for color, level, at in zip(colors, levels, some(rng, range(4), 2), strict=True):
        x, y = at % 2 * 32, at // 2 * 32
        pixels[y + 2 : y + 30, x + 2 : x + 30] = level
        frame(pixels, color, x + 2, y + 2, 28, 28, 5)
    words = (*colors, "about the same")
    return Item(
        (pixels,),
        Text("Which square is darker, {} or {}?", (colors[0], colors[1])),
        words[relation],
        tuple(without(words, words[relation])),
        Text("The darker square is {}", (words[relation],)) if relation < 2 else Text("Both are about the same"),
    )


def nearer(rng: Rng) -> Item:
    """Two objects on a ground: the nearer one is larger and lower, or covers the other."""
    shape, colors = one(rng, ("circle", "square", "diamond")), some(rng, COLORS, 2)
    pixels = blank()
    box(pixels, "grid", 0, 24, SIDE, 40)
    left = flip(rng)
    near, far = (4, 40) if left else (28, 8)
    size = one(rng, (12, 16))
    stamp(pixels, shape, colors[1], far, 16 + int(rng.integers(3)) * 4, size)
    stamp(pixels, shape, colors[0], near, 28 + int(rng.integers(2)) * 4, 32)
    said = some(rng, colors, 2)
    return Item(
        (pixels,),
        Text("Which object is closer, {} or {}?", (said[0], said[1])),
        colors[0],
        (colors[1],),
        Text("The closer object is {}", (colors[0],)),
    )


def tight_box(rng: Rng) -> Item:
    """Two frames: one encloses the object, the other is off."""
    shape, hue = one(rng, SHAPES), one(rng, COLORS)
    colors = some(rng, without(COLORS, hue), 2)
    pixels = blank()
    x, y = CELL * int(rng.integers(3)), CELL * int(rng.integers(3))
    x2, y2 = one(rng, [(a, b) for a in (0, 16, 32) for b in (0, 16, 32) if max(abs(a - x), abs(b - y)) >= CELL])
    stamp(pixels, shape, hue, x + 5, y + 5, 22)
    frame(pixels, colors[1], x2, y2, 32, 32, 3)
    frame(pixels, colors[0], x, y, 32, 32, 3)
    said = some(rng, colors, 2)
    return Item(
        (pixels,),
        Text("Which box fits the {}, {} or {}?", (shape, said[0], said[1])),
        colors[0],
        (colors[1],),
        Text("The box around the {} is {}", (shape, colors[0])),
    )


def symmetry(rng: Rng) -> Item:
    """Blocks of four by four: is the left half the mirror image of the right half."""
    true, colors = flip(rng), some(rng, COLORS, 3)
    half = [[one(rng, colors) for _ in range(2)] for _ in range(4)]
    blocks = [[*row, *row[::-1]] for row in half]
    if not true:
        for row in some(rng, range(4), 2):
            column = one(rng, (2, 3))
            blocks[row][column] = one(rng, without(colors, blocks[row][column]))
    pixels: Pixels = blank()
    for row in range(4):
        for column in range(4):
            box(pixels, blocks[row][column], column * CELL, row * CELL, CELL, CELL)
    because = Text("The two halves are the same" if true else "The two halves differ")
    return Item((pixels,), Text("Is the image symmetric?"), YES if true else NO, (NO if true else YES,), because)
