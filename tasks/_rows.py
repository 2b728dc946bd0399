"""Multiple-choice rows: what the schemas of several benchmarks have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from harness.api import Image, Row, Sample
from harness.data.schema import images, letter_choices, text


def tsv_sample(row: Row, *facets: str, cluster: str = "") -> Sample:
    """A row of a VLMEvalKit multiple-choice TSV: index, question, A.., answer, image, [hint].

    `facets` are columns to keep in meta; a row without one of them is an error.
    """
    meta: dict[str, Any] = {facet: text(row, facet) for facet in facets}
    if hint := text(row, "hint", ""):
        meta["hint"] = hint
    gold = text(row, "answer").strip()
    return choice_sample(
        text(row, "index"), text(row, "question"), gold, letter_choices(row), images(row), meta, cluster
    )


def choice_sample(
    index: str,
    question: str,
    answer: str,
    choices: Mapping[str, str],
    shown: tuple[Image, ...],
    meta: Mapping[str, Any],
    cluster: str = "",
) -> Sample:
    """A multiple-choice sample whose answer is one of its letters (else ValueError). Its cluster: the same images."""
    if answer not in choices:
        raise ValueError(f"the answer {answer!r} is not one of the options {', '.join(choices) or '(there are none)'}")
    return Sample(index, question, answer, shown, choices, meta, cluster or image_cluster(shown))


def image_cluster(shown: tuple[Image, ...]) -> str:
    """Questions about the same images are not independent: their cluster is named by the images' content."""
    return "+".join(image.sha256[:16] for image in shown)


def labelled(texts: Sequence[str]) -> dict[str, str]:
    """Options in order as {"A": text, ...}; none, or more than there are letters, is a ValueError."""
    if not 1 <= len(texts) <= len(ascii_uppercase):
        raise ValueError(f"{len(texts)} options (there must be 1 to {len(ascii_uppercase)})")
    return dict(zip(ascii_uppercase, texts, strict=False))
