"""SEED-Bench-2-Plus: 2277 questions about text-rich images (charts, maps, web pages).

The authors publish the data (AILab-CVC/SEED-Bench-2-plus) and rank options by likelihood as in SEED-Bench; for models
that generate, `official` is the same rule as there: strict option letter, share of all questions.
"""

from __future__ import annotations

from harness.api import OFFICIAL, HubSet, Row, Rules, Sample, Task, TsvFile
from harness.data.schema import images, text
from harness.scoring.aggregate import micro
from harness.scoring.official_mcq import strict_letter
from harness.scoring.prompts import images_then, lettered
from tasks._rows import choice_sample, labelled, tsv_sample

TSV = TsvFile("SEEDBench2_Plus", md5="e32d3216dc4f452b0fe497a52015d1fd", rows=2277)
HUB = HubSet("doolayer/SEED-Bench-2-Plus", rows=2277)
FACETS = ("category",)


def from_tsv(row: Row) -> Sample:
    """index, question, A-D, answer, category (chart, map, web), image."""
    return tsv_sample({**row, "category": text(row, "category").lower()}, *FACETS)


def from_hub(row: Row) -> Sample:
    """question_id, question, choice_A-D, answer, question_image_type (Chart, Map, Web), image."""
    choices = labelled([text(row, f"choice_{letter}") for letter in "ABCD"])
    meta = {"category": text(row, "question_image_type").lower()}
    index, question, answer = (text(row, name) for name in ("question_id", "question", "answer"))
    return choice_sample(index, question, answer, choices, images(row), meta)


TASK = Task(
    name="seedbench2_plus",
    title="SEED-Bench-2-Plus",
    tsv=TSV,
    hub=HUB,
    from_tsv=from_tsv,
    from_hub=from_hub,
    rules={
        OFFICIAL: Rules(
            request=images_then(lettered),
            score=strict_letter,
            aggregate=micro(*FACETS),
            source="AILab-CVC/SEED-Bench (SEED-Bench-2-Plus): letter equals gold, share of all questions",
        )
    },
    mini="tasks.mini.seedbench2_plus:rows",
    licence="CC BY-NC 4.0",
    description="charts, maps and web pages, four options",
    facets=FACETS,
)
