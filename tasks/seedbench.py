"""SEED-Bench, the 14232 questions about one image: nine dimensions of perception and reasoning.

The authors rank the four options by the likelihood that the model gives to their text (EVALUATION.md at 991e849b) and,
for models that only generate (their own GPT-4V run), compare the generated letter with the gold. A harness that
scores stored responses can do the second only, so `official` is the authors' generation protocol: strict option
letter, share of all questions. Likelihood ranking is not offered, and numbers of the two kinds are not comparable.
"""

from __future__ import annotations

from harness.api import OFFICIAL, HubSet, Row, Rules, Sample, Task, TsvFile
from harness.data.schema import cell, images, text
from harness.scoring.aggregate import micro
from harness.scoring.official_mcq import strict_letter
from harness.scoring.prompts import images_then, lettered
from tasks._rows import choice_sample, labelled, tsv_sample

TSV = TsvFile("SEEDBench_IMG", md5="68017231464752261a2526d6ca3a10c0", rows=14232)
#: The hub set has 17990 rows, 14233 of them about an image; the rest are videos and no items of this task.
HUB = HubSet("lmms-lab-encoder/SEED-Bench", revision="74c4ea0cee96786739e4ccb97d227818a05ae752", rows=17990)
FACETS = ("category",)
DIMENSIONS = (
    "Scene Understanding",
    "Instance Identity",
    "Instance Attributes",
    "Instance Location",
    "Instances Counting",
    "Spatial Relation",
    "Instance Interaction",
    "Visual Reasoning",
    "Text Understanding",
)


def from_tsv(row: Row) -> Sample:
    """Index (the authors' question_id), question, A-D, answer, category (the dimension), image."""
    return tsv_sample(row, *FACETS)


def from_hub(row: Row) -> Sample | None:
    """question_id, question, choice_a-d, answer, data_type, question_type_id (1-9 for images), image (a list)."""
    if text(row, "data_type") != "image":
        return None
    kind = int(cell(row, "question_type_id"))
    if not 1 <= kind <= len(DIMENSIONS):
        raise ValueError(f"question_type_id {kind} is not one of the image dimensions 1 to {len(DIMENSIONS)}")
    choices = labelled([text(row, f"choice_{letter}") for letter in "abcd"])
    meta = {"category": DIMENSIONS[kind - 1]}
    index, question, answer = (text(row, name) for name in ("question_id", "question", "answer"))
    return choice_sample(index, question, answer, choices, images(row), meta)


TASK = Task(
    name="seedbench",
    title="SEED-Bench (image)",
    tsv=TSV,
    hub=HUB,
    from_tsv=from_tsv,
    from_hub=from_hub,
    rules={
        OFFICIAL: Rules(
            request=images_then(lettered),
            score=strict_letter,
            aggregate=micro(*FACETS),
            source="AILab-CVC/SEED-Bench at 991e849b, evaluate_result/SEED-Bench-1/GPT-4V.json: letter equals gold",
        )
    },
    mini="tasks.mini.seedbench:rows",
    licence="CC BY-NC 4.0",
    description="one image, four options, 9 dimensions",
    facets=FACETS,
)
