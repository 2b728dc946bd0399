"""MathVista's prescribed texts: the hints by answer type, the query of an item, and the prompt that extracts an answer.

Source: lupantech/MathVista at 53d52587, evaluation/build_query.py (texts), data/query.json (their order) and
evaluation/prompts/ext_ans.py (the five examples, to which the hints belong).
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

_REQUIRING = "Hint: Please answer the question requiring {} and provide the final {}, e.g., {}, at the end."
OPTION_HINT = "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
INTEGER_HINT = _REQUIRING.format("an integer answer", "value", "1, 2, 3")
LIST_HINT = _REQUIRING.format("a Python list as an answer", "list", "[1, 2, 3], [1.2, 1.3, 1.4]")
FLOAT_HINTS = {
    1: _REQUIRING.format("a floating-point number with one decimal place", "value", "1.2, 1.3, 1.4"),
    2: _REQUIRING.format("a floating-point number with two decimal places", "value", "1.23, 1.34, 1.45"),
}


def hint(question_type: str, answer_type: str, precision: float | None) -> str:
    """The hint that names the form of the answer; ValueError for a combination that MathVista does not have."""
    if question_type == "multi_choice":
        return OPTION_HINT
    if answer_type == "float" and precision in FLOAT_HINTS:
        return FLOAT_HINTS[int(precision)]
    if answer_type in ("integer", "list"):
        return INTEGER_HINT if answer_type == "integer" else LIST_HINT
    raise ValueError(
        f"question_type {question_type!r} with answer_type {answer_type!r} and precision {precision} has no hint"
    )


def query(hint: str, question: str, unit: str, choices: Sequence[str]) -> str:
    """Hint, question with its unit, and "(A) text" lines, stripped, as in data/query.json."""
    asked = f"Question: {question} (Unit: {unit})" if unit else f"Question: {question}"
    return "\n".join([hint, asked, *choice_lines(choices)]).strip()


def choice_lines(choices: Sequence[str]) -> list[str]:
    """The lines `Choices:`, `(A) text`, ...; none where there are no choices."""
    lines = [f"({letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False)]
    return ["Choices:", *lines] if lines else []


#: Query, response, extracted answer.
_EXAMPLES = (
    (
        query(INTEGER_HINT, "Which number is missing?", "", ()),
        "The number missing in the sequence is 14.",
        "14",
    ),
    (
        query(FLOAT_HINTS[1], "What is the fraction of females facing the camera?", "", ()),
        "The fraction of females facing the camera is 0.6, which means that six out of ten females in the group are "
        "facing the camera.",
        "0.6",
    ),
    (
        query(
            FLOAT_HINTS[2], "How much money does Luca need to buy a sour apple candy and a butterscotch candy?", "$", ()
        ),
        "Luca needs $1.45 to buy a sour apple candy and a butterscotch candy.",
        "1.45",
    ),
    (
        query(LIST_HINT, "Between which two years does the line  graph saw its maximum peak?", "", ()),
        "The line graph saw its maximum peak between 2007 and 2008.",
        "[2007, 2008]",
    ),
    (
        query(OPTION_HINT, "What fraction of the shape is blue?", "", ("3/11", "8/11", "6/11", "3/5")),
        "The correct answer is (B) 8/11.",
        "B",
    ),
)
EXTRACTION_EXAMPLES = "\n\n".join(
    [
        "Please read the following example. Then extract the answer from the model response and type it at the end of "
        "the prompt.",
        *(f"{asked}\n\nModel response: {said}\n\nExtracted answer: {answer}" for asked, said, answer in _EXAMPLES),
    ]
)


def extraction_prompt(query: str, response: str) -> str:
    """The judge's prompt: five examples, the question as it was put, the response."""
    return f"{EXTRACTION_EXAMPLES}\n\n{query}\n\n{response}\n\nExtracted answer: "
