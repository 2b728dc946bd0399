"""How long a context an engine needs for the requests that wait, without processing all of their images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from typing import NamedTuple

from PIL import Image as Pillow

from harness.api import Image, Request
from harness.models.preprocess import Preprocessor
from harness.models.prompt_errors import PROMPT_ERRORS

_STEP = 256  # lengths are rounded up to a multiple: text and images may join in other tokens than they do apart


class Need(NamedTuple):
    """Tokens of a prompt with its answer, and images of a prompt."""

    tokens: int
    images: int

    def holds(self, other: Need) -> bool:
        """Whether an engine of this size can answer what needs `other`."""
        return self.tokens >= other.tokens and self.images >= other.images


def largest(preprocessor: Preprocessor, requests: Iterable[Request]) -> Need | None:
    """What the largest of the requests needs, rounded up; None where there is none.

    The number of tokens of an image depends on its size alone, so one image of each size is processed. A request that
    cannot be read is left out: it will be an error of its item.
    """
    sizes: dict[tuple[int, int], int] = {}
    tokens = images = 0
    for request in requests:
        try:
            seen = sum(_image_tokens(preprocessor, image, sizes) for image in request.images)
            text = len(preprocessor.tokenizer(preprocessor.prompt(request))["input_ids"])
        except PROMPT_ERRORS:
            continue
        tokens = max(tokens, text + seen + request.generation.max_new_tokens)
        images = max(images, len(request.images))
    return Need((tokens // _STEP + 1) * _STEP, images) if tokens else None


def _image_tokens(preprocessor: Preprocessor, image: Image, sizes: dict[tuple[int, int], int]) -> int:
    size = Pillow.open(BytesIO(image.read())).size
    if size not in sizes:
        alone = Request((image,))
        sizes[size] = preprocessor.prepare(alone).length - preprocessor.prepare(replace(alone, parts=("",))).length
    return sizes[size]
