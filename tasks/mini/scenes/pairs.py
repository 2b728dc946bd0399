"""Questions about two to four pictures: same or different, which fits, which corresponds, which was edited."""

from __future__ import annotations

import numpy as np

from tasks.mini.scenes.canvas import COLORS, RGB, SHAPES, SIDE, Pixels, blank, box, frame, stamp
from tasks.mini.scenes.item import Item, Rng, flip, one, some, without
from tasks.mini.scenes.objects import QUARTERS
from tasks.mini.scenes.words import NO, YES, Text, thing

HALF = SIDE // 2
ORDINALS = ("first", "second", "third", "fourth")
_CANDIDATES = ("second", "third")
#: One object in every quarter: (shape, colour) in the order of QUARTERS; None leaves it empty.
Quarters = list[tuple[str, str] | None]


def four(quarters: Quarters) -> Pixels:
    """A picture with a large object in each quarter."""
    pixels = blank()
    for at, kind in enumerate(quarters):
        if kind:
            stamp(pixels, *kind, at % 2 * HALF + 4, at // 2 * HALF + 4, 24)
    return pixels


def _kinds(rng: Rng, number: int) -> Quarters:
    return list(zip(some(rng, SHAPES, number), some(rng, COLORS, number), strict=True))


def _changed(rng: Rng, quarters: Quarters, at: int) -> Quarters:
    kind = quarters[at]
    assert kind is not None
    shape, color = kind
    other = (shape, one(rng, without(COLORS, color))) if flip(rng) else (one(rng, without(SHAPES, shape)), color)
    return [*quarters[:at], other, *quarters[at + 1 :]]


def same(rng: Rng) -> Item:
    """Are two pictures the same; else one of four objects differs in shape or colour."""
    true, quarters, at = flip(rng), _kinds(rng, 4), int(rng.integers(4))
    second = quarters if true else _changed(rng, quarters, at)
    because = Text("Nothing changed") if true else Text("The object at the {} changed", (QUARTERS[at],))
    question = Text("Are the two images the same?")
    return Item((four(quarters), four(second)), question, YES if true else NO, (NO if true else YES,), because)


def difference(rng: Rng) -> Item:
    """In which quarter two pictures differ."""
    quarters, at = _kinds(rng, 4), int(rng.integers(4))
    return Item(
        (four(quarters), four(_changed(rng, quarters, at))),
        Text("Where do the two images differ?"),
        QUARTERS[at],
        tuple(without(QUARTERS, QUARTERS[at])),
        Text("The object at the {} changed", (QUARTERS[at],)),
    )


def new_object(rng: Rng) -> Item:
    """What stands in the second picture and not in the first: wrong answers recombine what is shown."""
    quarters, at = _kinds(rng, 4), int(rng.integers(4))
    second = _changed(rng, quarters, at)
    seen = [kind for kind in second if kind]
    answer = thing(seen[at][1], seen[at][0])
    mixed = {thing(color, shape): None for shape, _ in seen for _, color in seen}
    return Item(
        (four(quarters), four(second)),
        Text("What is new in the second image?"),
        answer,
        tuple(without(list(mixed), answer)),
        Text("The new object is the {}", (answer,)),
    )


def _marked(rng: Rng, by: str) -> Item:
    """The marked object of the first picture; the second holds one that is the same by `by`."""
    shapes, colors = some(rng, SHAPES, 4), some(rng, COLORS, 4)
    at, where = int(rng.integers(4)), int(rng.integers(4))
    first = four(list(zip(shapes, colors, strict=True)))
    frame(first, "black", at % 2 * HALF, at // 2 * HALF, HALF, HALF, 3)
    order = some(rng, without(range(4), at), 3)
    order.insert(where, at)
    if by == "shape":
        kinds = list(zip([shapes[i] for i in order], some(rng, COLORS, 4), strict=True))
    elif by == "color":
        kinds = list(zip(some(rng, SHAPES, 4), [colors[i] for i in order], strict=True))
    else:
        kinds = [(shapes[i], colors[i]) for i in order]
    names = {"shape": Text("{}", (shapes[at],)), "color": Text("{} object", (colors[at],))}
    named = names.get(by, thing(colors[at], shapes[at]))
    return Item(
        (first, four(list(kinds))),
        Text(f"Where is the same {'object' if by == 'object' else by} in the second image?"),
        QUARTERS[where],
        tuple(without(QUARTERS, QUARTERS[where])),
        Text("The {} is at the {}", (named, QUARTERS[where])),
    )


def match_object(rng: Rng) -> Item:
    """Find the marked object again."""
    return _marked(rng, "object")


def match_shape(rng: Rng) -> Item:
    """Find the object with the marked object's shape."""
    return _marked(rng, "shape")


def match_color(rng: Rng) -> Item:
    """Find the object with the marked object's colour."""
    return _marked(rng, "color")


def _either(rng: Rng, reference: Pixels, right: Pixels, wrong: Pixels, question: Text, because: str) -> Item:
    """A reference picture and two candidates in random order."""
    at = int(rng.integers(2))
    shown = (reference, right, wrong) if at == 0 else (reference, wrong, right)
    answer, other = _CANDIDATES[at], _CANDIDATES[1 - at]
    return Item(shown, question, Text("{} image", (answer,)), (Text("{} image", (other,)),), Text(because, (answer,)))


def texture(kind: int, front: str, back: str) -> Pixels:
    """One of four textures: rows, columns, checks, dots."""
    pixels = blank(back)
    y, x = np.indices((SIDE, SIDE)) // 8
    marks = (y % 2, x % 2, (y + x) % 2, y % 2 + x % 2)[kind]
    pixels[marks == 0] = RGB[front]
    return pixels


def style(rng: Rng) -> Item:
    """Which picture has the texture of the first one; colours differ."""
    right, wrong = some(rng, range(4), 2)
    colors = [some(rng, COLORS, 2) for _ in range(3)]
    return _either(
        rng,
        texture(right, *colors[0]),
        texture(right, *colors[1]),
        texture(wrong, *colors[2]),
        Text("Which image has the same style as the first image?"),
        "The {} image has the same pattern",
    )


def similarity(rng: Rng) -> Item:
    """Which picture shows the objects of the first one at other places."""
    kinds = _kinds(rng, 4)
    order, other = some(rng, range(4), 4), some(rng, SHAPES, 4)
    wrong: Quarters = list(zip(other, some(rng, COLORS, 4), strict=True))
    return _either(
        rng,
        four(kinds),
        four([kinds[i] for i in order]),
        four(wrong),
        Text("Which image is most similar to the first image?"),
        "The {} image has the same objects",
    )


def jigsaw(rng: Rng) -> Item:
    """The first picture lacks its bottom right quarter: which picture fits (drawn twice as large)."""
    upright = flip(rng)
    colors = some(rng, COLORS, 4)

    def stripes(hues: list[str], columns: bool) -> Pixels:
        pixels = blank()
        for at, hue in enumerate(hues):
            width = SIDE // len(hues)
            box(pixels, hue, *((at * width, 0, width, SIDE) if columns else (0, at * width, SIDE, width)))
        return pixels

    picture = stripes(colors, upright)
    box(picture, "black", HALF, HALF, HALF, HALF)
    right = stripes(colors[2:], upright)
    wrong = stripes(colors[2:], not upright) if flip(rng) else stripes(colors[:1:-1], upright)
    question = Text("Which image fits the black part of the first image?")
    return _either(rng, picture, right, wrong, question, "The {} image continues the stripes")


def camera(rng: Rng) -> Item:
    """All objects move to one side from the first picture to the second: the camera went the other way."""
    left = flip(rng)
    shapes, colors = some(rng, SHAPES, 3), some(rng, COLORS, 3)
    spots = [(one(rng, (16, 32)), y) for y in some(rng, (0, 16, 32, 48), 3)]
    shown = []
    for shift in (0, 16 if left else -16):
        pixels = blank()
        for shape, color, (x, y) in zip(shapes, colors, spots, strict=True):
            stamp(pixels, shape, color, x + shift, y)
        shown.append(pixels)
    answer, other = ("left", "right") if left else ("right", "left")
    return Item(
        (shown[0], shown[1]),
        Text("Does the camera move left or right?"),
        answer,
        (other,),
        Text("The objects move {}", (other,)),
    )


def edited(rng: Rng) -> Item:
    """Which of four pictures has a black blot that is no part of its pattern."""
    at = int(rng.integers(4))
    shown = []
    for number in range(4):
        pixels = texture(int(rng.integers(4)), *some(rng, COLORS, 2))
        if number == at:
            box(pixels, "black", 8 * int(rng.integers(7)), 8 * int(rng.integers(7)), 16, 16)
        shown.append(pixels)
    words = [Text("{} image", (word,)) for word in ORDINALS]
    return Item(
        tuple(shown),
        Text("Which image is edited?"),
        words[at],
        tuple(without(words, words[at])),
        Text("The {} image has a black part", (ORDINALS[at],)),
    )
