"""MathVista: which responses are read literally, and how an extracted answer is normalised before it is compared.

Source: lupantech/MathVista at 53d52587, evaluation/extract_answer.py and calculate_score.py. lmms-eval has the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LETTER_IN_BRACKETS = re.compile(r"\(([a-zA-Z])\)")


def read_literally(response: str, question_type: str, answer_type: str, choices: Sequence[str]) -> str | None:
    """The answer where the whole response is one: empty, the text of an option, an integer or a float; else None."""
    if not response or (question_type == "multi_choice" and response in choices):
        return response
    convert = {"integer": int, "float": float}.get(answer_type)
    if convert is None:
        return None
    try:
        return str(convert(response))
    except ValueError:
        return None


def normalise(
    extraction: str, question_type: str, answer_type: str, choices: Sequence[str], precision: float | None
) -> str | None:
    """What is compared with the gold; None where the extraction is not of the answer's type.

    Multiple choice always gives the text of an option: that of the first "(B)", of a bare letter, or else the one
    with the smallest edit distance, even for an empty or meaningless extraction.
    """
    if question_type == "multi_choice":
        return _option(extraction.strip(), choices)
    if answer_type == "list":
        return extraction
    try:
        number = float(extraction)
        return str(int(number)) if answer_type == "integer" else _rounded(number, precision)
    except (ValueError, OverflowError):  # not a number, or nan or infinity where an integer is due
        return None


def _option(extraction: str, choices: Sequence[str]) -> str:
    bracketed = _LETTER_IN_BRACKETS.search(extraction)
    letter = bracketed[1].upper() if bracketed else extraction
    if len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(choices):
        return choices[ord(letter) - ord("A")]
    return nearest(letter, choices)


def _rounded(number: float, precision: float | None) -> str | None:
    return None if precision is None else str(round(number, int(precision)))


def nearest(text: str, choices: Sequence[str]) -> str:
    """The option with the smallest Levenshtein distance to a text; the first of several."""
    from rapidfuzz.distance import Levenshtein

    return min(choices, key=lambda choice: Levenshtein.distance(text, choice))
