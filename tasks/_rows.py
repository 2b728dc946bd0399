"""Reading multiple-choice rows: what the schemas of several benchmarks have in common."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from harness.api import Image, Row, Sample
from harness.data.schema import cell, letter_choices, text


def tsv_sample(row: Row, *facets: str, answer: str = "", cluster: str = "") -> Sample:
    """A row of a VLMEvalKit multiple-choice TSV: index, question, A.., answer, image, [hint].

    `facets` are columns to keep in meta (a missing one is an error), `answer` replaces the column answer.
    """
    meta: dict[str, Any] = {facet: str(cell(row, facet)) for facet in facets}
    if hint := text(row, "hint", ""):
        meta["hint"] = hint
    index, question = str(cell(row, "index")), str(cell(row, "question"))
    gold = answer or str(cell(row, "answer")).strip()
    return choice_sample(index, question, gold, letter_choices(row), images(row), meta, cluster)


def choice_sample(
    index: str,
    question: str,
    answer: str,
    choices: Mapping[str, str],
    shown: tuple[Image, ...],
    meta: Mapping[str, Any],
    cluster: str = "",
) -> Sample:
    """A multiple-choice sample whose answer is one of its letters; ValueError otherwise. Cluster: its images."""
    if answer not in choices:
        raise ValueError(f"the answer {answer!r} is not one of the options {', '.join(choices) or '(none)'}")
    return Sample(index, question, answer, shown, choices, meta, cluster or image_cluster(shown))


def image_cluster(shown: tuple[Image, ...]) -> str:
    """Questions about the same images are not independent: their cluster is named by the images' content."""
    return "+".join(image.sha256[:16] for image in shown)


def images(row: Row, *columns: str) -> tuple[Image, ...]:
    """The images of the columns (default: image) in order; empty optional columns are skipped, none at all is an error."""
    found = tuple(image for column in columns or ("image",) for image in row.get(column) or ())
    if not found:
        raise ValueError(f"no image in {', '.join(columns or ('image',))}")
    return found


def option_texts(row: Row, column: str) -> list[str]:
    """The option texts of a list column, which some files store as the text of a Python list."""
    stated = cell(row, column)
    if isinstance(stated, str):
        try:
            stated = ast.literal_eval(stated)
        except (ValueError, SyntaxError) as error:
            raise ValueError(f"{column} is not a list of options: {stated[:80]!r}") from error
    texts = [str(option) for option in stated]
    if not texts:
        raise ValueError(f"{column} is an empty list of options")
    return texts


def labelled(texts: Sequence[str]) -> dict[str, str]:
    """Options in order as {"A": text, ...}; at most 26."""
    if len(texts) > len(ascii_uppercase):
        raise ValueError(f"{len(texts)} options, but only 26 letters")
    return dict(zip(ascii_uppercase, texts, strict=False))
