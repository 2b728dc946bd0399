"""MMStar: 1500 questions that need the image; six categories of three abilities each."""

from __future__ import annotations

from harness.api import OFFICIAL, HubSet, Row, Rules, Sample, Task, TsvFile
from harness.data.schema import images, text
from harness.scoring import official_mcq
from harness.scoring.aggregate import micro
from harness.scoring.prompts import images_then
from tasks._rows import choice_sample, tsv_sample

TSV = TsvFile("MMStar", md5="e1ecd2140806c1b1bbf54b43372efb9e", rows=1500)
HUB = HubSet("Lin-Chen/MMStar", configs=("val",), split="val", rows=1500)
FACETS = ("category", "l2_category")
_OPTIONS = "\nOptions: "


def from_tsv(row: Row) -> Sample:
    """index, question, A-D, answer, category, l2_category, bench, image."""
    return tsv_sample(row, *FACETS, "bench")


def from_hub(row: Row) -> Sample:
    """index, question (its last line is "Options: A: .., B: .."), answer, category, l2_category, meta_info, image."""
    question, choices = split_options(text(row, "question"))
    meta = {facet: text(row, facet) for facet in FACETS}
    return choice_sample(text(row, "index"), question, text(row, "answer"), choices, images(row), meta)


def split_options(stated: str) -> tuple[str, dict[str, str]]:
    """The authors' question text as (question, options); the inverse of `stated`."""
    question, found, listed = stated.rpartition(_OPTIONS)
    if not found or not listed.startswith("A: "):
        raise ValueError(f"the question has no line 'Options: A: ..': {stated[-80:]!r}")
    choices: dict[str, str] = {}
    rest = listed[3:]
    for letter, following in zip("ABCDE", "BCDEF", strict=True):
        choices[letter], more, rest = rest.partition(f", {following}: ")
        if not more:
            break
    return question, choices


def stated(sample: Sample) -> str:
    """The question as the authors state it, with its options on one line."""
    return sample.question + _OPTIONS + ", ".join(f"{letter}: {text}" for letter, text in sample.choices.items())


def prompt(sample: Sample) -> str:
    """The prompt of the authors' own run (eval/vlmeval/vlm/llava_next.py: a question without option columns)."""
    return f"{stated(sample)}\nAnswer the question directly."


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
