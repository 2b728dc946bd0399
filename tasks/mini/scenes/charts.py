"""Charts of real values: bars, lines and pies without readable text, series told apart by colour."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tasks.mini.scenes.canvas import CELL, COLORS, RGB, SHAPES, SIDE, Pixels, blank, box, frame, line, stamp
from tasks.mini.scenes.item import Item, Rng, flip, one, some, without
from tasks.mini.scenes.tables import BARS, TOP, Series, bank, by
from tasks.mini.scenes.words import NO, YES, Text

UNIT = 8
NUMBERS = tuple(range(1, TOP + 1))


def bars(values: tuple[int, ...], colors: list[str]) -> Pixels:
    """A bar chart: one grid line every 8 pixels, bars 12 pixels wide in columns of 16."""
    pixels = blank()
    for level in range(TOP):
        box(pixels, "grid", 0, level * UNIT, SIDE, 1)
    for column, (value, color) in enumerate(zip(values, colors, strict=True)):
        box(pixels, color, column * CELL + 2, SIDE - value * UNIT, CELL - 4, value * UNIT)
    return pixels


def _series(rng: Rng, positions: tuple[int, ...]) -> Series:
    return bank()[one(rng, positions)]


def bar_value(rng: Rng) -> Item:
    """Read one bar off the grid lines."""
    value = one(rng, NUMBERS)
    series = _series(rng, by("value", lambda values: iter(values))[value])
    at = one(rng, [i for i, v in enumerate(series.values) if v == value])
    colors = some(rng, COLORS, BARS)
    return Item(
        (bars(series.values, colors),),
        Text("What is the value of the {} bar?", (colors[at],)),
        value,
        tuple(without(NUMBERS, value)),
        Text("The {} bar is {}", (colors[at], value)),
        series.table,
    )


def _single(values: tuple[int, ...], extreme: int) -> bool:
    return values.count(extreme) == 1


def bar_extreme(rng: Rng) -> Item:
    """Find the highest or the lowest bar."""
    at, high = int(rng.integers(BARS)), flip(rng)
    pick = max if high else min
    index = by(
        f"single {pick.__name__}",
        lambda values: iter([values.index(pick(values))] if _single(values, pick(values)) else []),
    )
    series = _series(rng, index[at])
    colors = some(rng, COLORS, BARS)
    word = "highest" if high else "lowest"
    return Item(
        (bars(series.values, colors),),
        Text(f"What color is the {word} bar?"),
        colors[at],
        tuple(without(colors, colors[at])),
        Text(f"The {word} bar is {{}}", (colors[at],)),
        series.table,
    )


def _differences(values: tuple[int, ...]) -> list[int]:
    return [abs(a - b) for i, a in enumerate(values) for b in values[:i]]


def bar_difference(rng: Rng) -> Item:
    """Two readings and a subtraction."""
    gap = one(rng, range(TOP - 1))
    series = _series(rng, by("difference", lambda values: iter(_differences(values)))[gap])
    colors = some(rng, COLORS, BARS)
    values = series.values
    i, j = one(rng, [(i, j) for i in range(BARS) for j in range(BARS) if i != j and abs(values[i] - values[j]) == gap])
    return Item(
        (bars(values, colors),),
        Text("What is the difference between the {} bar and the {} bar?", (colors[i], colors[j])),
        gap,
        tuple(without(range(TOP - 1), gap)),
        Text(
            "The {} bar is {}, the {} bar is {}, the difference is {}",
            (colors[i], values[i], colors[j], values[j], gap),
        ),
        series.table,
    )


def bar_sum(rng: Rng) -> Item:
    """Two readings and an addition, sums of 3 to 12."""
    total = one(rng, range(3, 13))
    index = by("sum", lambda values: (a + b for i, a in enumerate(values) for b in values[:i]))
    series = _series(rng, index[total])
    colors = some(rng, COLORS, BARS)
    values = series.values
    i, j = one(rng, [(i, j) for i in range(BARS) for j in range(BARS) if i != j and values[i] + values[j] == total])
    return Item(
        (bars(values, colors),),
        Text("What is the sum of the {} bar and the {} bar?", (colors[i], colors[j])),
        total,
        tuple(without(range(3, 13), total)),
        Text(
            "The {} bar is {}, the {} bar is {}, the sum is {}",
            (colors[i], values[i], colors[j], values[j], total),
        ),
        series.table,
    )


def bar_compare(rng: Rng) -> Item:
    """Is one bar higher than another."""
    series = _series(rng, by("differs", lambda values: iter([1] if len(set(values)) > 1 else [0]))[1])
    colors = some(rng, COLORS, BARS)
    values = series.values
    i, j = one(rng, [(i, j) for i in range(BARS) for j in range(BARS) if values[i] > values[j]])
    true = flip(rng)
    if not true:
        i, j = j, i
    return Item(
        (bars(values, colors),),
        Text("Is the {} bar higher than the {} bar?", (colors[i], colors[j])),
        YES if true else NO,
        (NO if true else YES,),
        Text("The {} bar is {} and the {} bar is {}", (colors[i], values[i], colors[j], values[j])),
        series.table,
    )


def bar_above(rng: Rng) -> Item:
    """How many bars end above a level: 1 to 4, the level given in the question."""
    level, count = one(rng, range(2, 5)), one(rng, range(1, BARS + 1))
    series = _series(rng, by(f"above {level}", lambda values: iter([sum(v > level for v in values)]))[count])
    return Item(
        (bars(series.values, some(rng, COLORS, BARS)),),
        Text("How many bars are higher than {}?", (level,)),
        count,
        tuple(without(range(1, BARS + 1), count)),
        Text("Higher than {}: {} bars", (level, count)),
        series.table,
    )


def bar_beside(rng: Rng) -> Item:
    """Find the highest bar, then its neighbour: two steps."""
    left = flip(rng)
    at = int(rng.integers(1, BARS)) if left else int(rng.integers(0, BARS - 1))
    index = by("single max", lambda values: iter([values.index(max(values))] if _single(values, max(values)) else []))
    series = _series(rng, index[at])
    colors = some(rng, COLORS, BARS)
    side, beside = ("left", at - 1) if left else ("right", at + 1)
    return Item(
        (bars(series.values, colors),),
        Text(f"What color is the bar {side} of the highest bar?"),
        colors[beside],
        tuple(without(colors, colors[beside])),
        Text(f"The highest bar is {{}} and the bar {side} of it is {{}}", (colors[at], colors[beside])),
        series.table,
    )


def line_trend(rng: Rng) -> Item:
    """Two lines; does the named one go up or down from its first point to its last?"""
    index = by("trend", lambda values: iter([] if values[0] == values[-1] else [int(values[-1] > values[0])]))
    pair = [_series(rng, index[rising]) for rising in (0, 1)]
    colors = some(rng, COLORS, 2)
    pixels = blank()
    for level in range(TOP):
        box(pixels, "grid", 0, level * UNIT, SIDE, 1)
    for at in some(rng, (0, 1), 2):
        ys = [SIDE - value * UNIT + 2 for value in pair[at].values]
        for x, (y0, y1) in enumerate(pairwise(ys)):
            line(pixels, colors[at], x * 20 + 1, y0, x * 20 + 21, y1, 3)
    up = int(flip(rng))
    words = ("down", "up")
    return Item(
        (pixels,),
        Text("Does the {} line go up or down?", (colors[up],)),
        words[up],
        (words[1 - up],),
        Text("The {} line goes {}", (colors[up], words[up])),
        pair[up].table,
    )


_AXIS = np.arange(SIDE) - SIDE / 2 + 0.5
_TURN = (np.arctan2(_AXIS[None, :], -_AXIS[:, None]) / (2 * np.pi)) % 1.0
_DISC = _AXIS[None, :] ** 2 + _AXIS[:, None] ** 2 <= 30**2


def pie(values: tuple[int, ...], colors: list[str]) -> Pixels:
    """A pie chart whose first slice starts at the top, clockwise."""
    pixels = blank()
    edges = np.cumsum([0, *values]) / sum(values)
    for start, end, color in zip(edges[:-1], edges[1:], colors, strict=True):
        pixels[_DISC & (start <= _TURN) & (end > _TURN)] = RGB[color]
    return pixels


def pie_extreme(rng: Rng) -> Item:
    """Find the largest or the smallest share; it differs from the next one by a quarter of itself or more."""
    at, large = int(rng.integers(BARS)), flip(rng)

    def clear(values: tuple[int, ...]) -> list[int]:
        order = sorted(values, reverse=large)
        far = abs(order[0] - order[1]) * 4 >= max(order[:2])
        return [values.index(order[0])] if far else []

    series = _series(rng, by(f"share {large}", lambda values: iter(clear(values)))[at])
    colors = some(rng, COLORS, BARS)
    word = "largest" if large else "smallest"
    return Item(
        (pie(series.values, colors),),
        Text(f"What color has the {word} share?"),
        colors[at],
        tuple(without(colors, colors[at])),
        Text(f"The {word} share is {{}}", (colors[at],)),
        series.table,
    )


def legend_value(rng: Rng) -> Item:
    """A legend names the bars by shape: find the colour of the shape, then read its bar."""
    value = one(rng, NUMBERS[:6])
    index = by("low value", lambda values: iter(values if max(values) <= NUMBERS[5] else ()))
    series = _series(rng, index[value])
    at = one(rng, [i for i, v in enumerate(series.values) if v == value])
    colors, shapes = some(rng, COLORS, BARS), some(rng, SHAPES, BARS)
    pixels = bars(series.values, colors)
    box(pixels, "white", 0, 0, SIDE, CELL)
    for slot, which in enumerate(some(rng, range(BARS), BARS)):
        stamp(pixels, shapes[which], colors[which], slot * CELL + 1, 0, 14)
    return Item(
        (pixels,),
        Text("What is the value of the {}?", (shapes[at],)),
        value,
        tuple(without(NUMBERS[:6], value)),
        Text("The {} is {} and its bar is {}", (shapes[at], colors[at], value)),
        series.table,
    )


def table(rows: Sequence[str], columns: Sequence[str], cells: Sequence[str]) -> Pixels:
    """A table of 3 x 3 shapes, row by row, with coloured heads."""
    pixels = blank()
    for i in range(3):
        box(pixels, rows[i], 2, (i + 1) * CELL + 2, 12, 12)
        box(pixels, columns[i], (i + 1) * CELL + 2, 2, 12, 12)
        frame(pixels, "gray", 0, (i + 1) * CELL, SIDE, 1, 1)
        frame(pixels, "gray", (i + 1) * CELL, 0, 1, SIDE, 1)
    for at, shape in enumerate(cells):
        stamp(pixels, shape, "black", (at % 3 + 1) * CELL + 1, (at // 3 + 1) * CELL + 1, 14)
    return pixels


def table_cell(rng: Rng) -> Item:
    """A table with coloured row and column heads: read the shape of one cell."""
    rows, columns = some(rng, COLORS, 3), some(rng, COLORS, 3)
    cells = [one(rng, SHAPES) for _ in range(9)]
    at = int(rng.integers(9))
    return Item(
        (table(rows, columns, cells),),
        Text("What shape is in the {} row and the {} column?", (rows[at // 3], columns[at % 3])),
        cells[at],
        tuple(without(SHAPES, cells[at])),
        Text("The shape is {}", (cells[at],)),
    )
