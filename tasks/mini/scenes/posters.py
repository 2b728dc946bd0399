"""Whole questions as pictures: what is asked in the top row, ten answers A to J below in reading order."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.mini.scenes.canvas import CELL, COLORS, SHAPES, SIDE, Pixels, blank, box, stamp
from tasks.mini.scenes.item import Item, Rng, Skill, one, some, without
from tasks.mini.scenes.words import Text, thing

#: Options of a poster: cells 4 to 13 of the 4 x 4 grid.
OPTIONS = 10


def poster_at(place: int) -> Skill:
    """The skill whose answer is option number `place` (0 to 9): find what the top left symbol asks for.

    That is an object, a colour (a filled cell) or a shape (grey). The item's `others` are the nine other options in
    the order in which the picture shows them.
    """

    def poster(rng: Rng) -> Item:
        return _poster(rng, place)

    return poster


def show(pixels: Pixels, kinds: Sequence[tuple[str, str]]) -> None:
    """Draw the options, (shape, color) each, below the top row."""
    for cell, kind in enumerate(kinds, 4):
        stamp(pixels, *kind, cell % 4 * CELL + 1, cell // 4 * CELL + 1, 14)


def _poster(rng: Rng, at: int) -> Item:
    ask = int(rng.integers(3))
    shape, color = one(rng, SHAPES), one(rng, COLORS)
    pixels = blank()
    box(pixels, "black", 0, CELL - 2, SIDE, 2)
    others = [(s, c) for s in SHAPES for c in COLORS if (s, c) != (shape, color)]
    if ask == 0:
        stamp(pixels, shape, color, 0, 0, 14)
        half = [kind for kind in others if kind[0] == shape or kind[1] == color]
        wrong = some(rng, half, 6)
        wrong += some(rng, without(others, *half), OPTIONS - 1 - len(wrong))
    elif ask == 1:
        box(pixels, color, 0, 0, CELL, CELL - 2)
        wrong = some(rng, [kind for kind in others if kind[1] != color], OPTIONS - 1)
    else:
        stamp(pixels, shape, "gray", 0, 0, 14)
        wrong = some(rng, [kind for kind in others if kind[0] != shape], OPTIONS - 1)
    wrong = some(rng, wrong, len(wrong))
    show(pixels, [*wrong[:at], (shape, color), *wrong[at:]])
    return Item(
        (pixels,),
        Text("Which object does the image ask for?"),
        thing(color, shape),
        tuple(thing(other, s) for s, other in wrong),
        Text("The image asks for the {}", (thing(color, shape),)),
    )
