"""MM-Vet: 218 open questions that need several of six capabilities at once, graded from 0 to 1 by a language model."""

from __future__ import annotations

from harness.api import OFFICIAL, Generation, HubSet, Request, Response, Row, Rules, Sample, Scoring, Task, TsvFile
from harness.data.schema import images, text
from harness.scoring.aggregate import micro
from harness.scoring.mmvet_grade import grade
from tasks._rows import image_cluster

# ---------------------------------------------------------------- data

TSV = TsvFile("MMVet", md5="748aa6d4aa9d4de798306a63718455e3", rows=218)
HUB = HubSet("lmms-lab-encoder/MMVet", revision="b310d12d0d9e765db953da28a7ef7ff43620dc83", split="test", rows=218)

#: Recognition, optical character recognition, knowledge, language generation, spatial awareness, math.
CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
FACETS = ("capability", "capabilities")


def from_tsv(row: Row) -> Sample:
    """Columns index, question, answer, category (capabilities with commas between), image."""
    return _sample(row, text(row, "index"), text(row, "category"))


def from_hub(row: Row) -> Sample:
    """Columns question_id, question, answer, capability (with commas between), image."""
    return _sample(row, text(row, "question_id"), text(row, "capability"))


def _sample(row: Row, index: str, capabilities: str) -> Sample:
    stated = {name.strip() for name in capabilities.split(",")}
    if unknown := stated.difference(CAPABILITIES):
        raise ValueError(f"{sorted(unknown)} are none of the capabilities {', '.join(CAPABILITIES)}")
    needed = [name for name in CAPABILITIES if name in stated]
    shown = images(row)
    return Sample(
        id=index,
        question=text(row, "question"),
        answer=text(row, "answer"),
        images=shown,
        meta={"capability": needed, "capabilities": "_".join(needed)},
        cluster=image_cluster(shown),
    )


# ---------------------------------------------------------------- prompt (the question alone)


def request(sample: Sample) -> Request:
    """The image and the question as it is."""
    return Request((*sample.images, sample.question), Generation(max_new_tokens=1024))


# ---------------------------------------------------------------- score (mm-vet_evaluator.py)


def score(sample: Sample, response: Response) -> Scoring:
    """The judge's grade; upstream's judge is gpt-4-0613, one run (the paper: five, and their mean)."""
    return grade(sample, response)


# ---------------------------------------------------------------- the task

TASK = Task(
    name="mmvet",
    title="MM-Vet",
    tsv=TSV,
    hub=HUB,
    from_tsv=from_tsv,
    from_hub=from_hub,
    rules={OFFICIAL: Rules(request, score, micro(*FACETS), "yuweihao/MM-Vet at acde843e, mm-vet_evaluator.py")},
    mini="tasks.mini.mmvet:rows",
    licence="CC BY-NC 4.0",
    description="Open questions for integrated capabilities, graded by a judge; total and six capabilities.",
    facets=FACETS,
)
