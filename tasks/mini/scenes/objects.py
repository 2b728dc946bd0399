"""Scattered shapes on a 4 x 4 grid: colour, shape, number, place, size and depth."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.mini.scenes.canvas import CELL, COLORS, SHAPES, SIDE, Pixels, blank, stamp
from tasks.mini.scenes.item import Item, Rng, flip, one, some, without
from tasks.mini.scenes.words import NO, YES, Text, Word

GRID = SIDE // CELL
CELLS = tuple(range(GRID * GRID))
QUARTERS = ("top left", "top right", "bottom left", "bottom right")
SIDES = ("left of", "right of", "above", "below")
COUNTS = tuple(range(1, 7))
#: A shape, its colour and its cell (0 to 15, row by row).
Object = tuple[str, str, int]


def scene(objects: Sequence[Object], background: str = "white") -> Pixels:
    """The picture of the objects."""
    pixels = blank(background)
    for shape, color, cell in objects:
        stamp(pixels, shape, color, cell % GRID * CELL, cell // GRID * CELL)
    return pixels


def scatter(rng: Rng, number: int) -> list[Object]:
    """`number` (up to 6) objects that differ in shape, in colour and in place."""
    return list(zip(some(rng, SHAPES, number), some(rng, COLORS, number), some(rng, CELLS, number), strict=True))


def color_of(rng: Rng) -> Item:
    """The colour of the one object of a shape."""
    objects = scatter(rng, one(rng, (4, 5)))
    shape, color, _ = objects[0]
    return Item(
        (scene(objects),),
        Text("What color is the {}?", (shape,)),
        color,
        tuple(other[1] for other in objects[1:]),
        Text("The {} is {}", (shape, color)),
    )


def shape_of(rng: Rng) -> Item:
    """The shape of the one object of a colour."""
    objects = scatter(rng, one(rng, (4, 5)))
    shape, color, _ = objects[0]
    return Item(
        (scene(objects),),
        Text("What shape is the {} object?", (color,)),
        shape,
        tuple(other[0] for other in objects[1:]),
        Text("The {} object is a {}", (color, shape)),
    )


def _count(rng: Rng, target: Word, match: tuple[Sequence[str], Sequence[str]], rest: Sequence[tuple[str, str]]) -> Item:
    """`match` lists shapes and colours of counted objects, `rest` the kinds of the others."""
    number = one(rng, COUNTS)
    extra = int(rng.integers(0, 6)) if rest else 0
    kinds = [(one(rng, match[0]), one(rng, match[1])) for _ in range(number)] + [one(rng, rest) for _ in range(extra)]
    cells = some(rng, CELLS, number + extra)
    return Item(
        (scene([(shape, color, cell) for (shape, color), cell in zip(kinds, cells, strict=True)]),),
        Text("How many {} are there?", (target,)),
        number,
        tuple(without(COUNTS, number)),
        Text("There are {} {}", (number, target)),
    )


def count_all(rng: Rng) -> Item:
    """Count every object."""
    return _count(rng, "objects", (SHAPES, COLORS), ())


def count_color(rng: Rng) -> Item:
    """Count the objects of a colour among others."""
    color = one(rng, COLORS)
    rest = [(shape, other) for shape in SHAPES for other in without(COLORS, color)]
    return _count(rng, Text("{} objects", (color,)), (SHAPES, (color,)), rest)


def count_shape(rng: Rng) -> Item:
    """Count the objects of a shape among others."""
    shape = one(rng, SHAPES)
    rest = [(other, color) for other in without(SHAPES, shape) for color in COLORS]
    return _count(rng, Text("{}s", (shape,)), ((shape,), COLORS), rest)


def count_kind(rng: Rng) -> Item:
    """Count the objects of a colour and a shape; the others share one of the two."""
    shape, color = one(rng, SHAPES), one(rng, COLORS)
    rest = [(other, color) for other in without(SHAPES, shape)] + [(shape, other) for other in without(COLORS, color)]
    return _count(rng, Text("{} {}s", (color, shape)), ((shape,), (color,)), rest)


def place(rng: Rng) -> Item:
    """In which quarter of the picture an object is."""
    objects = scatter(rng, one(rng, (3, 4, 5)))
    shape, _, cell = objects[0]
    at = cell // GRID // 2 * 2 + cell % GRID // 2
    return Item(
        (scene(objects),),
        Text("Where is the {}?", (shape,)),
        QUARTERS[at],
        tuple(without(QUARTERS, QUARTERS[at])),
        Text("The {} is at the {}", (shape, QUARTERS[at])),
    )


def _pair(rng: Rng, side: int) -> tuple[int, int]:
    """Two cells of one row or column, the first on `side` (index into SIDES) of the second."""
    across = int(rng.integers(GRID))
    near, far = sorted(some(rng, range(GRID), 2))
    first, second = (near, far) if side in (0, 2) else (far, near)
    if side < 2:
        return across * GRID + first, across * GRID + second
    return first * GRID + across, second * GRID + across


def relation(rng: Rng) -> Item:
    """On which side of one object another is."""
    side = int(rng.integers(4))
    first, second = _pair(rng, side)
    shapes, colors = some(rng, SHAPES, 4), some(rng, COLORS, 4)
    cells = [first, second, *some(rng, without(CELLS, first, second), 2)]
    return Item(
        (scene(list(zip(shapes, colors, cells, strict=True))),),
        Text("Where is the {} relative to the {}?", (shapes[0], shapes[1])),
        SIDES[side],
        tuple(without(SIDES, SIDES[side])),
        Text("The {} is {} the {}", (shapes[0], SIDES[side], shapes[1])),
    )


def relation_check(rng: Rng) -> Item:
    """Is one object on a given side of another: yes or no."""
    side, true = int(rng.integers(4)), flip(rng)
    first, second = _pair(rng, side if true else side ^ 1)
    shapes, colors = some(rng, SHAPES, 3), some(rng, COLORS, 3)
    cells = [first, second, one(rng, without(CELLS, first, second))]
    said = SIDES[side if true else side ^ 1]
    return Item(
        (scene(list(zip(shapes, colors, cells, strict=True))),),
        Text("Is the {} {} the {}?", (shapes[0], SIDES[side], shapes[1])),
        YES if true else NO,
        (NO if true else YES,),
        Text("The {} is {} the {}", (shapes[0], said, shapes[1])),
    )


def beside(rng: Rng) -> Item:
    """The shape right beside the object of a colour: two steps."""
    left = flip(rng)
    row, column = int(rng.integers(GRID)), int(rng.integers(GRID - 1))
    cell, neighbour = row * GRID + column, row * GRID + column + 1
    if left:
        cell, neighbour = neighbour, cell
    shapes, colors = some(rng, SHAPES, 5), some(rng, COLORS, 5)
    cells = [cell, neighbour, *some(rng, without(CELLS, cell, neighbour), 3)]
    side = "left of" if left else "right of"
    return Item(
        (scene(list(zip(shapes, colors, cells, strict=True))),),
        Text("What shape is {} the {} object?", (side, colors[0])),
        shapes[1],
        tuple(without(shapes, shapes[1])),
        Text("The {} object is a {} and {} it is a {}", (colors[0], shapes[0], side, shapes[1])),
    )


def odd_one(rng: Rng) -> Item:
    """Four objects, one of them of another shape or colour: where is it."""
    at, by_color = int(rng.integers(4)), flip(rng)
    shapes, colors = some(rng, SHAPES, 2), some(rng, COLORS, 2)
    if by_color:
        shapes[1] = shapes[0]
    else:
        colors[1] = colors[0]
    pixels = blank()
    for quarter in range(4):
        odd = quarter == at
        stamp(pixels, shapes[odd], colors[odd], quarter % 2 * 32 + 4, quarter // 2 * 32 + 4, 24)
    return Item(
        (pixels,),
        Text("Where is the object that differs?"),
        QUARTERS[at],
        tuple(without(QUARTERS, QUARTERS[at])),
        Text("The {} {} is at the {}", (colors[1], shapes[1], QUARTERS[at])),
    )


def size_extreme(rng: Rng) -> Item:
    """The colour of the largest or smallest of three objects."""
    large = flip(rng)
    shapes, colors = [one(rng, SHAPES) for _ in range(3)], some(rng, COLORS, 3)
    pixels = blank()
    for shape, color, size, quarter in zip(shapes, colors, (30, 20, 10), some(rng, range(4), 3), strict=True):
        shift = int(rng.integers(0, 32 - size + 1)) // 2 * 2
        stamp(pixels, shape, color, quarter % 2 * 32 + shift, quarter // 2 * 32 + shift, size)
    word, color = ("largest", colors[0]) if large else ("smallest", colors[2])
    return Item(
        (pixels,),
        Text(f"What color is the {word} object?"),
        color,
        tuple(without(colors, color)),
        Text(f"The {word} object is {{}}", (color,)),
    )


def depth(rng: Rng) -> Item:
    """Three objects that overlap in a chain: which is in front or at the back."""
    front = flip(rng)
    shapes, colors = [one(rng, ("square", "circle", "diamond")) for _ in range(3)], some(rng, COLORS, 3)
    pixels = blank()
    down = flip(rng)
    path = [(0, 0), (16, 16), (32, 32)] if down else [(32, 0), (16, 16), (0, 32)]
    if flip(rng):
        path.reverse()
    for shape, color, (x, y) in zip(shapes, colors, path, strict=True):
        stamp(pixels, shape, color, x, y, 32)
    where, color = ("in front", colors[2]) if front else ("at the back", colors[0])
    return Item(
        (pixels,),
        Text(f"What color is the object {where}?"),
        color,
        tuple(without(colors, color)),
        Text(f"The object {where} is {{}}", (color,)),
    )


def more(rng: Rng) -> Item:
    """Are there more objects of one colour than of another: yes or no, never as many."""
    colors = some(rng, COLORS, 2)
    few, many = sorted(some(rng, COUNTS, 2))
    true = flip(rng)
    counts = (many, few) if true else (few, many)
    cells = some(rng, CELLS, few + many)
    kinds = [colors[0]] * counts[0] + [colors[1]] * counts[1]
    return Item(
        (scene([(one(rng, SHAPES), color, cell) for color, cell in zip(kinds, cells, strict=True)]),),
        Text("Are there more {} objects than {} objects?", (colors[0], colors[1])),
        YES if true else NO,
        (NO if true else YES,),
        Text("There are {} {} and {} {}", (counts[0], colors[0], counts[1], colors[1])),
    )
