"""MMStar: 1500 questions that need the image; six categories of three abilities each."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.api import OFFICIAL, HubSet, Row, Rules, Sample, Task, TsvFile
from harness.data.schema import images, is_missing, letter_choices, text
from harness.scoring import official_mcq
from harness.scoring.aggregate import micro
from harness.scoring.prompts import images_then
from tasks._rows import choice_sample, labelled

TSV = TsvFile("MMStar", md5="e1ecd2140806c1b1bbf54b43372efb9e", rows=1500)
HUB = HubSet(
    "Lin-Chen/MMStar", revision="bc98d668301da7b14f648724866e57302778ab27", configs=("val",), split="val", rows=1500
)
FACETS = ("category", "l2_category")
# The authors write the options on one line, or, in what they took from MathVista, on a line each.
_ON_ONE_LINE = "\nOptions: A: "
_ON_LINES = re.compile(r"\n(?:Choices:\n)?\(A\) ")


def from_tsv(row: Row) -> Sample:
    """index, question, A-D, answer, category, l2_category, bench, image."""
    return _sample(row, text(row, "question"), letter_choices(row))


def from_hub(row: Row) -> Sample:
    """index, question (it states its options), answer, category, l2_category, meta_info, image."""
    stated = text(row, "question")
    return _sample(row, *split_options(stated), stated)


def _sample(row: Row, question: str, choices: dict[str, str], stated: str = "") -> Sample:
    """Two published items lost their right option, "None", to `nan`, between the others: its letter stays one."""
    answer = text(row, "answer").strip()
    if answer in "ABCD" and answer not in choices and choices and answer < max(choices):
        choices = dict(sorted({**choices, answer: "nan"}.items()))
    meta = {facet: text(row, facet) for facet in FACETS} | {"stated": stated or with_options(question, choices)}
    return choice_sample(text(row, "index"), question, answer, choices, images(row), meta)


def split_options(stated: str) -> tuple[str, dict[str, str]]:
    """The authors' question as (question, options); what they left empty is `nan` there and no option here."""
    question, found, listed = stated.rpartition(_ON_ONE_LINE)
    separator = ", {}: " if found else "\n({})"
    if not found:
        opening = _ON_LINES.search(stated)
        if opening is None:
            raise ValueError(f"the question states no options: {stated[-80:]!r}")
        question, listed = stated[: opening.start()], stated[opening.end() :]
    texts: list[str] = []
    for following in "BCDE":
        option, more, listed = listed.partition(separator.format(following))
        texts.append(option)
        if not more:
            break
    return question, {
        letter: option
        for letter, option in labelled([option.strip() for option in texts]).items()
        if not is_missing(option)
    }


def with_options(question: str, choices: Mapping[str, str]) -> str:
    """The question with its options in the authors' form; the hint of MathVista's questions tells which.

    Of a question with fewer than four options they state the others as `nan`, and so does this.
    """
    four = [(letter, choices.get(letter, "nan")) for letter in "ABCD"]
    if question.startswith("Hint: "):
        return f"{question}\nChoices:" + "".join(f"\n({letter}) {option}" for letter, option in four)
    return f"{question}\nOptions: " + ", ".join(f"{letter}: {option}" for letter, option in four)


def prompt(sample: Sample) -> str:
    """The prompt of the authors' own run (eval/vlmeval/vlm/llava_next.py: a question without option columns)."""
    return f"{sample.meta['stated']}\nAnswer the question directly."


TASK = Task(
    name="mmstar",
    title="MMStar",
    tsv=TSV,
    hub=HUB,
    from_tsv=from_tsv,
    from_hub=from_hub,
    rules={
        OFFICIAL: Rules(
            request=images_then(prompt),
            score=official_mcq.mmstar,
            aggregate=micro(*FACETS),
            source="MMStar-Benchmark/MMStar eval/vlmeval at 88f243ab: first letter, share of all 1500",
        )
    },
    mini="tasks.mini.mmstar:rows",
    licence="not stated",
    description="vision-indispensable multiple choice, 6 categories, 18 abilities",
    facets=FACETS,
)
