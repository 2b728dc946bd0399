"""Diagrams, maps and pages: arrows between nodes, layers, regions, and the parts of a screen."""

from __future__ import annotations

from itertools import pairwise

from tasks.mini.scenes.canvas import CELL, COLORS, SHAPES, SIDE, Pixels, blank, box, line, stamp
from tasks.mini.scenes.item import Item, Rng, flip, one, some, without
from tasks.mini.scenes.objects import QUARTERS
from tasks.mini.scenes.words import NO, YES, Text

_CENTRES = ((8, 8), (56, 8), (8, 56), (56, 56))
#: The corners in the order in which one walks around.
_ROUND = (0, 1, 3, 2)


def _arrow(pixels: Pixels, start: int, end: int) -> None:
    """A black arrow between two corners, with a head like a V at its end."""
    (x0, y0), (x1, y1) = _CENTRES[start], _CENTRES[end]
    dx, dy = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
    tip_x, tip_y = x1 - 10 * dx, y1 - 10 * dy
    line(pixels, "black", x0 + 10 * dx - 1, y0 + 10 * dy - 1, tip_x - 1, tip_y - 1, 2)
    for turn in (1, -1):
        # the two strokes of the head run back from the tip, 45 degrees off the arrow's own direction
        back_x, back_y = -dx - turn * dy, -dy + turn * dx
        size = 8 // max(abs(back_x), abs(back_y))
        line(pixels, "black", tip_x - 1, tip_y - 1, tip_x + size * back_x - 1, tip_y + size * back_y - 1, 3)


def _chain(rng: Rng, labelled: bool) -> tuple[Pixels, list[str]]:
    """Four nodes at the corners, joined one after the other by three arrows, either way round; names in that order."""
    start, way = int(rng.integers(4)), 1 if flip(rng) else -1
    order = [_ROUND[(start + way * step) % 4] for step in range(4)]
    colors, shapes = some(rng, COLORS, 4), some(rng, SHAPES, 4)
    pixels = blank()
    for start, end in pairwise(order):
        _arrow(pixels, start, end)
    for corner, color, shape in zip(order, colors, shapes, strict=True):
        x, y = _CENTRES[corner]
        box(pixels, color, x - 8, y - 8, CELL, CELL)
        if labelled:
            stamp(pixels, shape, "white", x - 7, y - 7, 14)
    return pixels, shapes if labelled else colors


def _others(rng: Rng, names: list[str], answer: str, asked: str) -> tuple[str, ...]:
    """Wrong answers: what else the picture names, and one that it does not in place of what was asked about."""
    known = COLORS if answer in COLORS else SHAPES
    return (*without(names, answer, asked), one(rng, without(known, *names)))


def _following(rng: Rng, labelled: bool, steps: int) -> Item:
    pixels, names = _chain(rng, labelled)
    at = int(rng.integers(4 - steps))
    start, end = names[at], names[at + steps]
    question = "What comes after {}?" if steps == 1 else "What comes two steps after {}?"
    path = Text("After {} comes {}", (start, end))
    if steps == 2:
        path = Text("After {} comes {} and then {}", (start, names[at + 1], end))
    return Item((pixels,), Text(question, (start,)), end, _others(rng, names, end, start), path)


def _ending(rng: Rng, labelled: bool) -> Item:
    pixels, names = _chain(rng, labelled)
    first = flip(rng)
    word, answer = ("first", names[0]) if first else ("last", names[-1])
    question = Text(f"What comes {word}?")
    return Item((pixels,), question, answer, tuple(without(names, answer)), Text(f"The {word} is {{}}", (answer,)))


def arrow_next(rng: Rng) -> Item:
    """Where the arrow from a coloured node leads."""
    return _following(rng, False, 1)


def arrow_next_label(rng: Rng) -> Item:
    """Where the arrow from a labelled node leads."""
    return _following(rng, True, 1)


def arrow_two(rng: Rng) -> Item:
    """Follow two arrows from a coloured node."""
    return _following(rng, False, 2)


def arrow_two_label(rng: Rng) -> Item:
    """Follow two arrows from a labelled node."""
    return _following(rng, True, 2)


def arrow_end(rng: Rng) -> Item:
    """The coloured node where the chain of arrows begins or ends."""
    return _ending(rng, False)


def arrow_end_label(rng: Rng) -> Item:
    """The labelled node where the chain of arrows begins or ends."""
    return _ending(rng, True)


def _strata(rng: Rng, labelled: bool) -> tuple[Pixels, list[str]]:
    colors, shapes = some(rng, COLORS, 4), some(rng, SHAPES, 4)
    pixels = blank()
    for row, (color, shape) in enumerate(zip(colors, shapes, strict=True)):
        box(pixels, color, 0, row * CELL, SIDE, CELL)
        x = int(rng.integers(4)) * CELL
        stamp(pixels, shape, "white" if labelled else "black", x + 1, row * CELL + 1, 14)
    return pixels, shapes if labelled else colors


def _layer(rng: Rng, labelled: bool) -> Item:
    pixels, names = _strata(rng, labelled)
    above = flip(rng)
    at = int(rng.integers(1, 4)) if above else int(rng.integers(3))
    answer = names[at - 1] if above else names[at + 1]
    side = "above" if above else "below"
    return Item(
        (pixels,),
        Text("What is right {} {}?", (side, names[at])),
        answer,
        _others(rng, names, answer, names[at]),
        Text("The layer {} {} is {}", (side, names[at], answer)),
    )


def layer(rng: Rng) -> Item:
    """The layer above or below a coloured one."""
    return _layer(rng, False)


def layer_label(rng: Rng) -> Item:
    """The layer above or below a labelled one."""
    return _layer(rng, True)


def _part(rng: Rng, labelled: bool) -> Item:
    """A thing of four parts in known places: where is the named part?"""
    colors, shapes, at = some(rng, COLORS, 4), some(rng, SHAPES, 4), int(rng.integers(4))
    pixels = blank()
    stamp(pixels, one(rng, ("circle", "diamond", "square")), "gray", 12, 12, 40)
    for corner in range(4):
        x, y = corner % 2 * 32 + 4, corner // 2 * 32 + 4
        box(pixels, colors[corner], x, y, 24, 24)
        if labelled:
            stamp(pixels, shapes[corner], "white", x + 4, y + 4, CELL)
    name = (shapes if labelled else colors)[at]
    question = Text("Where is the part {}?", (name,))
    because = Text("The part {} is at the {}", (name, QUARTERS[at]))
    return Item((pixels,), question, QUARTERS[at], tuple(without(QUARTERS, QUARTERS[at])), because)


def part(rng: Rng) -> Item:
    """Where the coloured part of a thing is."""
    return _part(rng, False)


def part_label(rng: Rng) -> Item:
    """Where the labelled part of a thing is."""
    return _part(rng, True)


def _regions(rng: Rng) -> tuple[Pixels, list[str]]:
    """Four regions around a crossing that is off the middle; their colours in the order of QUARTERS."""
    colors = some(rng, COLORS, 4)
    x, y = CELL * int(rng.integers(1, 4)), CELL * int(rng.integers(1, 4))
    pixels = blank(colors[0])
    box(pixels, colors[1], x, 0, SIDE - x, y)
    box(pixels, colors[2], 0, y, x, SIDE - y)
    box(pixels, colors[3], x, y, SIDE - x, SIDE - y)
    return pixels, colors


def map_marker(rng: Rng) -> Item:
    """In which region of a map the marker of a shape stands; another marker stands elsewhere."""
    pixels, colors = _regions(rng)
    shapes = some(rng, SHAPES, 2)
    cells = some(rng, range(16), 2)
    under = [tuple(int(v) for v in pixels[cell // 4 * CELL + 8, cell % 4 * CELL + 8]) for cell in cells]
    names = {tuple(int(v) for v in pixels[y, x]): color for (y, x), color in zip(_ENDS, colors, strict=True)}
    for shape, cell in zip(shapes, cells, strict=True):
        stamp(pixels, shape, "black", cell % 4 * CELL + 1, cell // 4 * CELL + 1, 14)
    answer = names[under[0]]
    return Item(
        (pixels,),
        Text("Which region has the {}?", (shapes[0],)),
        answer,
        tuple(without(colors, answer)),
        Text("The {} is in the {} region", (shapes[0], answer)),
    )


_ENDS = ((0, 0), (0, SIDE - 1), (SIDE - 1, 0), (SIDE - 1, SIDE - 1))


def map_touch(rng: Rng) -> Item:
    """Do two regions of a map share a border: four strips one after another, neighbours or not."""
    colors = some(rng, COLORS, 4)
    true, upright = flip(rng), flip(rng)
    pairs = [(0, 1), (1, 2), (2, 3)] if true else [(0, 2), (1, 3), (0, 3)]
    i, j = one(rng, pairs)
    if flip(rng):
        i, j = j, i
    widths = one(rng, ((16, 16, 16, 16), (24, 16, 16, 8), (8, 16, 24, 16), (16, 8, 16, 24), (8, 24, 8, 24)))
    pixels, start = blank(), 0
    for color, width in zip(colors, widths, strict=True):
        box(pixels, color, *((start, 0, width, SIDE) if upright else (0, start, SIDE, width)))
        start += width
    return Item(
        (pixels,),
        Text("Does the {} region touch the {} region?", (colors[i], colors[j])),
        YES if true else NO,
        (NO if true else YES,),
        Text("The {} region {} the {} region", (colors[i], "touches" if true else "does not touch", colors[j])),
    )


def map_side(rng: Rng) -> Item:
    """Which region lies on a side of a region; the four meet in one point."""
    pixels, colors = _regions(rng)
    at, across = int(rng.integers(4)), flip(rng)
    side = ("right of", "left of")[at % 2] if across else ("below", "above")[at // 2]
    answer = colors[at ^ 1 if across else at ^ 2]
    return Item(
        (pixels,),
        Text("Which region is {} the {} region?", (side, colors[at])),
        answer,
        _others(rng, colors, answer, colors[at]),
        Text("The {} region is {} the {} region", (answer, side, colors[at])),
    )


def _page(rng: Rng) -> tuple[Pixels, dict[str, str], list[str], list[str]]:
    """A page: a header, a menu at one side, four buttons with symbols; colours of the parts and of the buttons."""
    colors, shapes, left = some(rng, COLORS, 6), some(rng, SHAPES, 4), flip(rng)
    parts = {"header": colors[0], "menu": colors[1]}
    pixels = blank()
    box(pixels, colors[0], 0, 0, SIDE, CELL)
    box(pixels, colors[1], 0 if left else SIDE - CELL, CELL, CELL, SIDE - CELL)
    buttons = colors[2:]
    for at, (color, shape) in enumerate(zip(buttons, shapes, strict=True)):
        x, y = (CELL if left else 0) + at % 2 * 2 * CELL, CELL + at // 2 * 2 * CELL
        box(pixels, color, x, y, CELL, CELL)
        stamp(pixels, shape, "white", x + 1, y + 1, CELL - 2)
    return pixels, parts, buttons, shapes


def page_part(rng: Rng) -> Item:
    """The colour of the header or of the menu of a page."""
    pixels, parts, buttons, _ = _page(rng)
    name = one(rng, ("header", "menu"))
    others = tuple(without([*parts.values(), *buttons], parts[name]))
    return Item(
        (pixels,),
        Text("What color is the {}?", (name,)),
        parts[name],
        others,
        Text("The {} is {}", (name, parts[name])),
    )


def page_button(rng: Rng) -> Item:
    """The colour of the button with a symbol."""
    pixels, _, buttons, shapes = _page(rng)
    at = int(rng.integers(4))
    return Item(
        (pixels,),
        Text("What color is the button with the {}?", (shapes[at],)),
        buttons[at],
        tuple(without(buttons, buttons[at])),
        Text("The {} button is {}", (shapes[at], buttons[at])),
    )


def page_place(rng: Rng) -> Item:
    """The symbol on the button at a place."""
    pixels, _, _, shapes = _page(rng)
    at = int(rng.integers(4))
    return Item(
        (pixels,),
        Text("What is on the {} button?", (QUARTERS[at],)),
        shapes[at],
        tuple(without(shapes, shapes[at])),
        Text("The {} button has a {}", (QUARTERS[at], shapes[at])),
    )
