"""Encoded images from untrusted files: decoded once to know that they can be, with limits and inside one folder."""

from __future__ import annotations

import base64
import binascii
import io
import os
import stat
import struct
import warnings
import zlib
from pathlib import Path

from harness.api import HarnessError

_PIXELS = "MASTERS_HARNESS_MAX_MEGAPIXELS"
_MEGAPIXELS = 64.0
MAX_ENCODED_BYTES = 256 * 2**20
_RAISE = f"if you trust it, export {_PIXELS}=N allows N millions"

#: Formats that are plain raster decoders; others (EPS, WMF, ...) start programs or read further files.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

#: What Pillow's decoders raise on damaged input, beside their own errors (which are OSError).
_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, ArithmeticError, AttributeError,
    RuntimeError, struct.error, zlib.error, MemoryError,
)  # fmt: skip


def max_pixels() -> int:
    """Pixels that an image may have: MASTERS_HARNESS_MAX_MEGAPIXELS millions, or 64 millions."""
    stated = os.environ.get(_PIXELS) or _MEGAPIXELS
    try:
        limit = int(float(stated) * 1_000_000)
    except (ValueError, OverflowError):
        limit = 0
    if limit < 1:
        raise HarnessError(f"{_PIXELS}={stated!r} is no number of megapixels", f"export {_PIXELS}=200, or unset it")
    return limit


def check_image(data: bytes) -> None:
    """Decode the image once; ValueError with a sentence if it is damaged, cut, of an unknown format or too large.

    The size is read from the header before any pixel is decoded, so a decompression bomb costs nothing.
    """
    from PIL import Image as Pillow

    if not data:
        raise ValueError("the image is empty (0 bytes)")
    if len(data) > MAX_ENCODED_BYTES:
        raise ValueError(f"the image has {len(data)} bytes, more than the limit of {MAX_ENCODED_BYTES}")
    limit = max_pixels()
    Pillow.MAX_IMAGE_PIXELS = max(limit, Pillow.MAX_IMAGE_PIXELS or 0)  # its own limit is an error above twice this
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns where our own limit below is an error
            with Pillow.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                if width * height <= limit:
                    image.draft("RGB", (1, 1))  # a JPEG is read to its end, but at an eighth of its size
                    image.load()
    except Pillow.DecompressionBombError as error:
        raise ValueError(f"the image is a decompression bomb: {error}; {_RAISE}") from None
    except _DAMAGED as error:
        raise ValueError(f"the image cannot be decoded: {type(error).__name__}: {_sentence(error)}") from None
    if width * height > limit:
        raise ValueError(
            f"the image has {width} x {height} pixels, more than the limit of {limit / 1_000_000:g} megapixels; "
            f"{_RAISE}"
        )


def _sentence(error: BaseException) -> str:
    """Pillow names the in-memory file object; that address helps nobody."""
    return "the format is unknown" if "cannot identify" in str(error) else str(error)


def decode_base64(written: str) -> bytes:
    """The bytes behind strict base64 (a data URI's head and line breaks are allowed); ValueError if cut or damaged."""
    if written.startswith("data:"):
        written = written.partition(",")[2]
    written = "".join(written.split())
    try:
        return base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        kind = "cut off" if len(written) % 4 else "damaged"
        raise ValueError(f"the image's base64 is {kind} ({len(written)} characters: {written[:16]!r}...)") from None


def inside(root: Path, name: str) -> Path:
    """The regular file of that relative name in the folder `root`; ValueError if it lies elsewhere or is no file.

    Links are followed before the check, so neither `..` nor a link climbs out of the folder.
    """
    if "\0" in name:
        raise ValueError(f"the image's file name {name!r} holds a NUL character")
    real_root = root.resolve()
    path = (real_root / name).resolve()
    if not path.is_relative_to(real_root):
        raise ValueError(f"the image's file name {name!r} leads out of the folder {root}")
    try:
        status = path.stat()
    except OSError as error:
        raise ValueError(f"the image file {name!r} cannot be read in {root}: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"the image {name!r} in {root} is not a regular file")
    if status.st_size > MAX_ENCODED_BYTES:
        raise ValueError(f"the image file {name!r} has {status.st_size} bytes, more than {MAX_ENCODED_BYTES}")
    return path
