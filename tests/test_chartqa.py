"""ChartQA: relaxed accuracy, both row schemas on real rows, and real verdicts of a stored run."""

import csv
import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Image, Response, Scored, State
from harness.scoring.relaxed_accuracy import relaxed_correct
from harness.scoring.score import score
from tasks import chartqa

Shared = Callable[[str], Path]
PICTURE = (Image.from_bytes(b"picture"),)
ROW = {"index": "0", "question": "How many?", "answer": "14", "split": "test_human", "image": PICTURE}


@pytest.mark.parametrize(
    ("prediction", "target", "right"),
    [
        ("100", "105", True),
        ("99.7", "105", False),
        ("-10", "10", False),
        ("62%", "62", False),
        ("62%", "0.62", True),
        ("62", "62%", False),
        ("1,000", "1000", False),
        ("0.0", "0", False),
        ("0", "0", True),
        ("yes", "Yes", True),
        ("Yes.", "Yes", False),
        ("1e999", "inf", False),
        ("1e999", "1e999", False),  # both are infinite: their relative distance is not a number
        ("nan", "nan", False),
        ("nan", "5", False),
        ("[2014, 2016]", "[2014, 2016]", True),
        ("%", "%", True),
    ],
)
def test_relaxed_accuracy(prediction: str, target: str, right: bool) -> None:
    assert relaxed_correct(prediction, target) is right


@given(st.text(alphabet="0123456789.%-+eE_ naif", max_size=12), st.floats(allow_nan=False, allow_infinity=False))
def test_relaxed_accuracy_never_raises(prediction: str, target: float) -> None:
    assert isinstance(relaxed_correct(prediction, str(target)), bool)


@pytest.mark.parametrize("piece", ["1", "%", "-", "1e", " ", "_"])
def test_a_megabyte_is_compared(piece: str) -> None:
    assert not relaxed_correct(piece * 1_000_000, "7")


def test_verdicts_of_a_stored_run(shared: Shared) -> None:
    """VLMEvalKit's hits are the same rule, except for golds that are a list of Python values."""
    with gzip.open(shared("conformance/derived/vlmevalkit_vila_8b_ChartQA_TEST.jsonl.gz"), "rt") as lines:
        entries = [json.loads(line) for line in lines]
    assert len(entries) == 2500
    for entry in entries:
        if entry["gold"].startswith("["):
            continue
        assert relaxed_correct(str(entry["prediction"]).strip(), entry["gold"]) == entry["vlmevalkit_correct_head"], (
            entry
        )


def test_real_rows_of_both_schemas_are_the_same_items(shared: Shared) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    csv.field_size_limit(sys.maxsize)
    with shared("real/LMUData/ChartQA_TEST.tsv").open(newline="") as lines:
        tsv = [chartqa.from_tsv({**row, "image": PICTURE}) for row in csv.DictReader(lines, delimiter="\t")]
    table = parquet.read_table(
        shared("real/hf/ChartQA/data/test-00000-of-00001.parquet"), columns=["type", "question", "answer"]
    )
    hub = [chartqa.from_hub({**row, "index": str(n), "image": PICTURE}) for n, row in enumerate(table.to_pylist())]
    assert tsv == hub
    assert {sample.meta["split"] for sample in tsv} == {"human", "augmented"}


def test_prompt_score_and_states() -> None:
    sample = chartqa.from_tsv(ROW)
    rules = chartqa.TASK.rules["official"]
    assert rules.request(sample).parts == (*PICTURE, "How many?\nAnswer the question using a single word or phrase.")
    assert score(chartqa.TASK, sample, " 14.5\n").score == 1
    assert score(chartqa.TASK, sample, "It is 14").state is State.SCORED
    assert score(chartqa.TASK, sample, "").state is State.UNPARSED
    assert score(chartqa.TASK, sample, Response("There are", finish="length")).state is State.TRUNCATED
    other = chartqa.from_tsv({**ROW, "index": "1", "split": "test_augmented"})
    metrics = rules.aggregate([Scored(s, score(chartqa.TASK, s, "14")) for s in (sample, sample, other)][1:])
    assert metrics.score == 100
    assert set(metrics.groups["split"]) == {"human", "augmented"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"split": "dev"}, "split 'dev' is none of"), ({"answer": ""}, "'answer' is empty"), ({"image": ()}, "no image")],
)
def test_bad_rows_say_what_is_wrong(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        chartqa.from_tsv({**ROW, **change})
