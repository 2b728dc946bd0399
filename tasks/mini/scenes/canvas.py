"""Drawing on 64 x 64 pictures: flat colours, objects on an 8-pixel grid, no anti-aliasing."""

from __future__ import annotations

import io
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SIDE = 64
CELL = 16
RGB = {
    "red": (230, 25, 25),
    "green": (30, 170, 50),
    "blue": (30, 70, 230),
    "yellow": (250, 220, 20),
    "purple": (150, 40, 200),
    "orange": (250, 130, 10),
    "black": (0, 0, 0),
    "gray": (140, 140, 140),
    "grid": (215, 215, 215),
    "white": (255, 255, 255),
}
COLORS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "cross", "diamond", "ring")


def blank(color: str = "white") -> Pixels:
    """A picture of one colour: uint8, (64, 64, 3)."""
    pixels = np.empty((SIDE, SIDE, 3), np.uint8)
    pixels[:] = RGB[color]
    return pixels


@cache
def mask(shape: str, size: int) -> Mask:
    """The pixels of a shape that fills a square of `size` pixels: bool, (size, size)."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    v, u = np.meshgrid(axis, axis, indexing="ij")
    au, av, rr = np.abs(u), np.abs(v), u * u + v * v
    if shape == "circle":
        return rr <= 0.8
    if shape == "square":
        return np.maximum(au, av) <= 0.8
    if shape == "triangle":
        return (au <= (v + 0.9) / 2) & (av <= 0.9)
    if shape == "cross":
        return (np.minimum(au, av) <= 0.27) & (np.maximum(au, av) <= 0.9)
    if shape == "diamond":
        return au + av <= 0.95
    if shape == "ring":
        return (rr <= 0.9) & (rr >= 0.3)
    raise ValueError(f"no shape is called {shape!r}")


def stamp(pixels: Pixels, shape: str, color: str, x: int, y: int, size: int = CELL) -> None:
    """Paint a shape whose top left corner is (x, y)."""
    pixels[y : y + size, x : x + size][mask(shape, size)] = RGB[color]


def box(pixels: Pixels, color: str, x: int, y: int, width: int, height: int) -> None:
    """Paint a filled rectangle whose top left corner is (x, y)."""
    pixels[y : y + height, x : x + width] = RGB[color]


def frame(pixels: Pixels, color: str, x: int, y: int, width: int, height: int, stroke: int = 2) -> None:
    """Paint the border of a rectangle, `stroke` pixels thick, inside its bounds."""
    box(pixels, color, x, y, width, stroke)
    box(pixels, color, x, y + height - stroke, width, stroke)
    box(pixels, color, x, y, stroke, height)
    box(pixels, color, x + width - stroke, y, stroke, height)


@lru_cache(maxsize=4096)
def _trace(x0: int, y0: int, x1: int, y1: int, stroke: int) -> Mask:
    steps = max(abs(x1 - x0), abs(y1 - y0), 1) + 1
    xs = np.rint(np.linspace(x0, x1, steps)).astype(int)
    ys = np.rint(np.linspace(y0, y1, steps)).astype(int)
    trace = np.zeros((SIDE, SIDE), np.bool_)
    for dy in range(stroke):
        for dx in range(stroke):
            trace[np.clip(ys + dy, 0, SIDE - 1), np.clip(xs + dx, 0, SIDE - 1)] = True
    return trace


def line(pixels: Pixels, color: str, x0: int, y0: int, x1: int, y1: int, stroke: int = 2) -> None:
    """Paint a straight line of the given thickness, clipped to the picture."""
    pixels[_trace(x0, y0, x1, y1, stroke)] = RGB[color]


def png(pixels: Pixels) -> bytes:
    """The picture as PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
