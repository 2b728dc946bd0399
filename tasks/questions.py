"""Questions of one's own as a benchmark: `questions:NAME` is the file NAME.parquet of the folder that --data names.

The columns are those of training questions (harness.data.open_questions), so that what a recipe trains on and what it
is evaluated on are written alike; the prompts are the same, too. An answer is right where it is the gold option's
letter, or the gold word or number, case and final dot ignored.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness.api import (
    OFFICIAL,
    Generation,
    HarnessError,
    HubSet,
    Request,
    Response,
    Row,
    Rules,
    Sample,
    Task,
    TsvFile,
    Verdict,
)
from harness.data.opening import question_sample
from harness.data.placeholders import interleave
from harness.judge.normalise import same
from harness.scoring.aggregate import micro
from harness.scoring.official_mcq import strict_letter
from harness.scoring.prompts import lettered
from harness.scoring.verdicts import scored, unread
from tasks._rows import image_cluster

_NAME = re.compile(r"[\w.+-]+")


def of_file(name: str) -> Task:
    """The task of the file NAME.parquet."""
    if not _NAME.fullmatch(name):
        raise HarnessError(f"questions:{name} names no file", "write questions:NAME for NAME.parquet")
    return Task(
        name=f"questions:{name}",
        title=f"{name} (questions of one's own)",
        tsv=TsvFile(name),
        hub=HubSet(""),
        from_tsv=from_row,
        from_hub=from_row,
        rules={OFFICIAL: Rules(request, score, micro(), "the question as it stands; letter, word or number")},
        description="questions of one's own",
        prepare=partial(_file, name),
    )


def from_row(row: Row) -> Sample:
    """A row with question, answer, image, [id], [choices]; the answer of one with choices is its letter."""
    sample = question_sample(row)
    answer = str(sample.meta["letter"]) if sample.choices else sample.answer
    return replace(sample, answer=answer, cluster=image_cluster(sample.images))


def request(sample: Sample) -> Request:
    """The images where the text names them, else before it; the question, with its options as lines."""
    asked = lettered(sample) if sample.choices else sample.question
    return Request(interleave(asked, sample.images), Generation(max_new_tokens=128))


def score(sample: Sample, response: Response) -> Verdict:
    """By letter where there are options, else by word or number."""
    if sample.choices:
        return strict_letter(sample, response)
    said = response.text.strip()
    return scored(same(said, sample.answer), said, "word or number") if said else unread(response, "empty")


def _file(name: str, data: str) -> Path:
    file = Path(data) / f"{name}.parquet"
    if not file.is_file():
        raise HarnessError(f"there is no {file}", f"--data FOLDER names the folder that holds {name}.parquet")
    return file
