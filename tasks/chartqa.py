"""ChartQA test: questions about charts, half written by people, half by a model, scored with 5 % tolerance."""

from __future__ import annotations

from harness.api import OFFICIAL, Generation, HubSet, Request, Response, Row, Rules, Sample, Task, TsvFile, Verdict
from harness.data.schema import images, text
from harness.scoring.aggregate import micro
from harness.scoring.relaxed_accuracy import relaxed_correct
from harness.scoring.verdicts import scored, unread
from tasks._rows import image_cluster

# ---------------------------------------------------------------- data

TSV = TsvFile("ChartQA_TEST", md5="c902e0aa9be5582a7aad6dcf52734b42", rows=2500)
HUB = HubSet("lmms-lab-encoder/ChartQA", revision="9e63b7df1592a1c2158e735cc1725454aef0d6d9", split="test", rows=2500)

_SPLITS = {
    "test_human": "human", "test_augmented": "augmented",  # VLMEvalKit and the official file names
    "human_test": "human", "augmented_test": "augmented",  # Hugging Face
}  # fmt: skip


def from_tsv(row: Row) -> Sample:
    """Columns index, question, answer, split (test_human or test_augmented), image."""
    return _sample(row, text(row, "index"), text(row, "split"))


def from_hub(row: Row) -> Sample:
    """Columns type (human_test or augmented_test), question, answer, image; items are known by their row number."""
    return _sample(row, text(row, "index", ""), text(row, "type"))


def _sample(row: Row, index: str, split: str) -> Sample:
    if split not in _SPLITS:
        raise ValueError(f"split {split!r} is none of {', '.join(_SPLITS)}")
    shown = images(row)
    return Sample(
        id=index,
        question=text(row, "question"),
        answer=text(row, "answer"),
        images=shown,
        meta={"split": _SPLITS[split]},
        cluster=image_cluster(shown),
    )


# ---------------------------------------------------------------- prompt


def request(sample: Sample) -> Request:
    """Chart, question, and a wish for a short answer. The paper prescribes no prompt; this is VLMEvalKit's."""
    prompt = f"{sample.question}\nAnswer the question using a single word or phrase."
    return Request((*sample.images, prompt), Generation(max_new_tokens=128))


# ---------------------------------------------------------------- extraction and score


def score(sample: Sample, response: Response) -> Verdict:
    """The whole stripped response is the answer; relaxed accuracy against the whole gold text."""
    answer = response.text.strip()
    correct = relaxed_correct(answer, sample.answer)
    if not correct and (not answer or response.finish == "length"):
        return unread(response, "relaxed_accuracy")
    return scored(correct, answer, "relaxed_accuracy")


# ---------------------------------------------------------------- the task

TASK = Task(
    name="chartqa",
    title="ChartQA",
    tsv=TSV,
    hub=HUB,
    from_tsv=from_tsv,
    from_hub=from_hub,
    rules={
        OFFICIAL: Rules(
            request, score, micro("split"), "ChartQA paper, section 5.1: relaxed accuracy; both splits have 1250 items"
        )
    },
    mini="tasks.mini.chartqa:rows",
    licence="GPL-3.0",
    description="Visual and logical reasoning about charts: numbers within 5 %, text by equality.",
    facets=("split",),
)
