"""`<image N>` in a prompt: which image stands where."""

from __future__ import annotations

import re

from harness.api import Image

_PLACEHOLDER = re.compile(r"<image (\d{1,4})>")


def interleave(text: str, images: tuple[Image, ...]) -> tuple[str | Image, ...]:
    """Put each image where the text names it: `<image N>` is the N-th image (1-based), however often and in any order.

    Images that the text never names come first, in their order, so that a prompt without placeholders is images, then
    text. The text between placeholders is kept as it is. A number without image is a ValueError.
    """
    pieces = _PLACEHOLDER.split(text)  # text, number, text, number, ..., text
    named = {int(number) for number in pieces[1::2]}
    for number in sorted(named):
        if not 1 <= number <= len(images):
            raise ValueError(f"the text names <image {number}> but there are {len(images)} images")
    parts: list[str | Image] = [image for number, image in enumerate(images, 1) if number not in named]
    for place, piece in enumerate(pieces):
        if place % 2:
            parts.append(images[int(piece) - 1])
        elif piece:
            parts.append(piece)
    return tuple(parts)
