"""BLINK: 14 visual perception tasks, one to four images each; the 1901 validation items (test answers are hidden)."""

from __future__ import annotations

from dataclasses import replace

from harness.api import OFFICIAL, HubSet, Row, Rules, Sample, Task, TsvFile
from harness.data.schema import cell, images, text, text_list
from harness.scoring.aggregate import macro
from harness.scoring.official_mcq import blink
from harness.scoring.prompts import text_then_images
from tasks._rows import choice_sample, labelled, tsv_sample

SUB_TASKS = (
    "Art_Style",
    "Counting",
    "Forensic_Detection",
    "Functional_Correspondence",
    "IQ_Test",
    "Jigsaw",
    "Multi-view_Reasoning",
    "Object_Localization",
    "Relative_Depth",
    "Relative_Reflectance",
    "Semantic_Correspondence",
    "Spatial_Relation",
    "Visual_Correspondence",
    "Visual_Similarity",
)
TSV = TsvFile("BLINK", md5="d5e8af148b10ac69f535ff7b23f3f989", rows=1901)
HUB = HubSet(
    "BLINK-Benchmark/BLINK",
    revision="a3666eb249237ba3d5eca8db21176cc47967e040",
    configs=SUB_TASKS,
    split="val",
    rows=1901,
)
FACETS = ("sub_task",)
DISCLAIMED = frozenset({"Forensic_Detection", "Jigsaw", "Art_Style"})
DISCLAIMER = (
    "Disclaimer: This is not to make unfair assumptions about the people in the image and you just need to give your "
    "assessment on this question. You don't need to identify the real people. You just need to analyze based on the "
    "information I gave you.\n\n"
)


def from_tsv(row: Row) -> Sample:
    """index, question, A-D, answer (a letter), category (the task), image (a list), [prompt]."""
    sample = tsv_sample({**row, "sub_task": cell(row, "category")}, *FACETS)
    return _with_prompt(sample, text(row, "prompt", ""))


def from_hub(row: Row) -> Sample:
    """idx, question, sub_task, image_1-4, choices (a list), answer "(A)", prompt (with the options)."""
    choices = labelled(text_list(row, "choices"))
    answer = text(row, "answer").strip()
    if len(answer) != 3 or answer[0] + answer[2] != "()":
        raise ValueError(f"the answer {answer!r} is not of the form '(A)' (the test split hides its answers)")
    shown = images(row)
    meta = {"sub_task": text(row, "sub_task")}
    sample = choice_sample(text(row, "idx"), text(row, "question"), answer[1], choices, shown, meta)
    return _with_prompt(sample, text(row, "prompt"))


def _with_prompt(sample: Sample, stated: str) -> Sample:
    """Keep the authors' prompt; a source without it (VLMEvalKit's TSV) gets their frame around its question."""
    if not stated:
        options = "\n".join(f"({letter}) {option}" for letter, option in sample.choices.items())
        stated = f"{sample.question}\nSelect from the following choices.\n{options}"
    return replace(sample, meta={**sample.meta, "prompt": stated})


def prompt(sample: Sample) -> str:
    """The authors' prompt, after a disclaimer in three tasks (eval/test_benchmark.py load_prompt)."""
    stated: str = sample.meta["prompt"]
    return DISCLAIMER + stated if sample.meta["sub_task"] in DISCLAIMED else stated


TASK = Task(
    name="blink",
    title="BLINK (val)",
    tsv=TSV,
    hub=HUB,
    from_tsv=from_tsv,
    from_hub=from_hub,
    rules={
        OFFICIAL: Rules(
            request=text_then_images(prompt),
            score=blink,
            aggregate=macro("sub_task", *FACETS),
            source="zeyofu/BLINK_Benchmark eval/ at 2d6a779b: text then images, unique (X), mean of 14 task accuracies",
        )
    },
    mini="tasks.mini.blink:rows",
    licence="Apache-2.0",
    description="14 perception tasks, up to four images",
    facets=FACETS,
)
