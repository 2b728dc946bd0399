"""Reading the cells of a row: what the functions `from_tsv` and `from_hub` of the tasks have in common.

A row maps column to value: text in a TSV, what the file holds in parquet; image columns are tuples of Image. Every
error is a ValueError with one sentence; the data source adds the file and the row.
"""

from __future__ import annotations

import ast
import math
from string import ascii_uppercase
from typing import Any

from harness.api import Image, Row

_MAX_IMAGE_COLUMNS = 64
#: Stands for an option that an imported table has lost (pandas reads the option "None" as no value, and writes none).
LOST_OPTION = "(lost)"


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: nothing, NaN, blank text, or the `nan` that pandas writes.

    Unlike pandas' reader this keeps the texts None, NA and null, which are real options of real questions.
    """
    if isinstance(value, str):
        return value.strip() in ("", "nan", "NaN")
    return value is None or (isinstance(value, float) and math.isnan(value))


def cell(row: Row, name: str) -> Any:
    """The value of a column that every row must have; ValueError where the column or the value is missing."""
    if name not in row:
        raise ValueError(f"the column {name!r} is missing (there are {', '.join(map(str, row)) or 'none'})")
    if is_missing(row[name]):
        raise ValueError(f"the column {name!r} is empty")
    return row[name]


def text(row: Row, name: str, default: str | None = None) -> str:
    """The value of a column as unstripped text; `default` where column or value is missing (None: an error)."""
    if default is not None and is_missing(row.get(name)):
        return default
    return str(cell(row, name))


def letter_choices(row: Row) -> dict[str, str]:
    """The options in the columns A, B, ... as {"A": text, ...}; empty ones are left out, also between others."""
    return {letter: str(row[letter]) for letter in ascii_uppercase if not is_missing(row.get(letter))}


def literal_list(written: str) -> list[str] | None:
    """The elements, as text, of a list written in Python or JSON style ("['24/7', '3.429']"); None for other text."""
    if not written.lstrip().startswith("["):
        return None
    try:
        value = ast.literal_eval(written.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return [str(element) for element in value] if isinstance(value, list) else None


def text_list(row: Row, name: str) -> list[str]:
    """The elements, as text, of a column that holds a list or a list written as text."""
    value = cell(row, name)
    elements = literal_list(value) if isinstance(value, str) else value
    if not isinstance(elements, list | tuple):
        raise ValueError(f"the column {name!r} is not a list: {str(value)[:80]!r}")
    return [str(element) for element in elements]


def images(row: Row) -> tuple[Image, ...]:
    """The images of the column `image`, else of image_1, image_2, ...; none, or a gap in the numbers, is an error.

    A gap would let `<image 3>` mean the second image.
    """
    if shown := row.get("image"):
        return tuple(shown)
    numbered = [row.get(f"image_{number}") or () for number in range(1, _MAX_IMAGE_COLUMNS + 1)]
    while numbered and not numbered[-1]:
        numbered.pop()
    if not numbered:
        raise ValueError("no image in the columns image, image_1, ...")
    if () in numbered:
        raise ValueError(f"image_{numbered.index(()) + 1} is empty but image_{len(numbered)} is not")
    return tuple(image for column in numbered for image in column)
