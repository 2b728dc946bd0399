"""AI2D: 3088 test questions about diagrams of school science, with the labels masked by letters or left readable.

The authors (Kembhavi et al. 2016, allenai.org/data/diagrams) score the share of right options and define neither a
prompt for generative models nor a reading. `official` here is LLaVA's prompt for it and our strict option letter
(harness.scoring.official_mcq.option_letter); the masked edition is the one that leaderboards report.
"""

from __future__ import annotations

from harness.api import OFFICIAL, HubSet, Row, Rules, Sample, Task, TsvFile
from harness.data.schema import images, text, text_list
from harness.scoring.aggregate import micro
from harness.scoring.official_mcq import strict_letter
from harness.scoring.prompts import images_then, lettered
from tasks._rows import choice_sample, labelled, tsv_sample

ROWS = 3088
MASKED_TSV = TsvFile("AI2D_TEST", md5="0f593e0d1c7df9a3d69bf1f947e71975", rows=ROWS)
MASKED_HUB = HubSet("lmms-lab-encoder/ai2d", revision="c83a9b9692933aff8349157c88a413df9d02c4e5", rows=ROWS)
READABLE_TSV = TsvFile("AI2D_TEST_NO_MASK", md5="fd8f463634d4fe9fbd23b876e8eea5be", rows=ROWS)
READABLE_HUB = HubSet("Efficient-Large-Model/ai2d-no-mask", rows=ROWS)
FACETS = ("category",)


def from_tsv(row: Row) -> Sample:
    """index, question, A-D, answer (a letter), category, image."""
    return tsv_sample(row, *FACETS)


def from_hub(row: Row) -> Sample:
    """question, options (list of 4), answer (position of the option, as text), image; there is no category."""
    choices = labelled(text_list(row, "options"))
    stated = text(row, "answer").strip()
    if not stated.isdecimal() or int(stated) >= len(choices):
        raise ValueError(f"the answer {stated!r} is not a position in the list of {len(choices)} options")
    return choice_sample(
        text(row, "index", ""), text(row, "question"), list(choices)[int(stated)], choices, images(row), {}
    )


def _task(name: str, title: str, tsv: TsvFile, hub: HubSet, description: str) -> Task:
    return Task(
        name=name,
        title=title,
        tsv=tsv,
        hub=hub,
        from_tsv=from_tsv,
        from_hub=from_hub,
        rules={
            OFFICIAL: Rules(
                request=images_then(lettered),
                score=strict_letter,
                aggregate=micro(*FACETS),
                source="Kembhavi et al. 2016: share of right options; prompt of LLaVA; our strict option letter",
            )
        },
        mini=f"tasks.mini.{name}:rows",
        licence="CC BY-SA 4.0",
        description=description,
        facets=FACETS,
    )


TASK = _task("ai2d", "AI2D", MASKED_TSV, MASKED_HUB, "science diagrams, labels masked by letters")
NO_MASK = _task("ai2d_no_mask", "AI2D (no mask)", READABLE_TSV, READABLE_HUB, "science diagrams, labels readable")
