"""MM-Vet: the published totals and capability tables from stored GPT-4 grades, the five tries, rows."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Ask, Image, Response, Sample, Scored, State
from harness.judge.recorded import RecordedJudge
from harness.scoring.mmvet_grade import grading_prompt, read_grade
from harness.scoring.score import score, score_all
from tasks import mmvet

Shared = Callable[[str], Path]
PICTURE = (Image.from_bytes(b"picture"),)
RULES = mmvet.TASK.rules["official"]
ROW = {"index": "1", "question": "What is x?", "answer": "-1<AND>-5", "category": "ocr,math", "image": PICTURE}


@pytest.fixture(scope="module")
def golds(shared: Shared) -> list[Sample]:
    """The 218 items (without their images), in the order v1_0, v1_1, ..."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(shared("conformance/vlmevalkit_misc/instructblip_7b_MMVet_gpt4.xlsx"))
    header, *lines = book.active.values
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    return [mmvet.from_tsv({**row, "index": f"v1_{row['index'] - 1}", "image": PICTURE}) for row in rows]


@pytest.mark.parametrize(("runs", "total"), [(1, 31.2), (3, 31.1)])
def test_published_tables_from_the_stored_grades(shared: Shared, golds: list[Sample], runs: int, total: float) -> None:
    folder = shared("conformance/mmvet/llava/results")
    grades = json.loads((folder / f"llava-v1.5-7b_gpt-4-grade-{runs}runs.json").read_text())
    answers = json.loads((folder / "llava-v1.5-7b.json").read_text())
    items = [(sample, Response(answers[sample.id])) for sample in golds]
    tables = []
    for run in range(runs):
        judge = RecordedJudge({(name, "grade"): entry["content"][run] for name, entry in grades.items()}, "gpt-4")
        found = sorted(score_all(RULES, items, judge), key=lambda pair: pair[0])
        assert len(found) == 218
        for (sample, _), (_, verdict) in zip(items, found, strict=True):
            assert (verdict.state, verdict.rule) == (State.SCORED, "mmvet:grade judge:gpt-4")
            assert verdict.score == grades[sample.id]["score"][run]
        tables.append(RULES.aggregate([Scored(s, verdict) for (s, _), (_, verdict) in zip(items, found, strict=True)]))
    assert round(sum(table.score for table in tables) / runs, 1) == total

    def mean(facet: str, name: str) -> float:
        return round(sum(table.groups[facet][name].score for table in tables) / runs, 1)

    capabilities = published(folder / f"llava-v1.5-7b_gpt-4-cap-score-{runs}runs.csv")
    assert {name: mean("capability", name) for name in mmvet.CAPABILITIES} == capabilities
    sets = published(folder / f"llava-v1.5-7b_gpt-4-cap-int-score-{runs}runs.csv")
    assert {name: mean("capabilities", name) for name in tables[0].groups["capabilities"]} == {
        "_".join(name for name in mmvet.CAPABILITIES if name in key.split("_")): value for key, value in sets.items()
    }
    assert len(sets) == 16


def published(path: Path) -> dict[str, float]:
    """The model's row of an official CSV without its totals."""
    with path.open() as lines:
        (row,) = [row for row in csv.DictReader(lines) if row[""] == "llava-v1.5-7b"]
    return {name: float(value) for name, value in row.items() if name not in ("", "total", "std", "runs")}


# ---------------------------------------------------------------- prompt and tries


def test_grading_prompt_is_a_table_whose_last_row_is_open() -> None:
    lines = grading_prompt("What is x?", "-1<AND>-5<OR>5", "x = 1").split("\n")
    assert lines[0].startswith("Compare the ground truth and prediction from AI models, to give a correctness score")
    assert lines[1:5] == [
        "",
        "Question | Ground truth | Prediction | Correctness",
        "--- | --- | --- | ---",
        "What is x in the equation? | -1 <AND> -5 | x = 3 | 0.0",
    ]
    assert lines[-2:] == ["", "What is x? | -1 <AND> -5 <OR> 5 | x = 1 | "]
    assert len(lines) == 4 + 7 + 2


class Scripted:
    """Replies in turn, and keeps what it was asked."""

    name = "scripted"

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.asked: list[Ask] = []

    def answer(self, asks: Sequence[Ask]) -> Sequence[str | Exception | None]:
        self.asked += asks
        return [self.replies.pop(0) for _ in asks]


def test_unreadable_grades_are_asked_again_warmer() -> None:
    judge = Scripted("I", "about half", "1.5", "nan", " 0.7")
    verdict = score(mmvet.TASK, mmvet.from_tsv(ROW), "x = -1", judge=judge)
    assert verdict.state is State.JUDGE_FAILED
    assert verdict.score == 0
    assert [ask.temperature for ask in judge.asked] == [0, 0, 0.5, 1.0, 1.5]
    assert [ask.prompt.endswith("(digit): ") for ask in judge.asked] == [False, True, True, True, True]
    assert all(ask.max_tokens == 3 for ask in judge.asked)


def test_the_first_readable_grade_counts() -> None:
    judge = Scripted("x", "0.7 of")
    verdict = score(mmvet.TASK, mmvet.from_tsv(ROW), "x = -1", judge=judge)
    assert (verdict.state, verdict.score) == (State.SCORED, 0.7)
    assert len(judge.asked) == 2


def test_the_rule_judge_grades_short_golds_and_leaves_long_ones() -> None:
    assert score(mmvet.TASK, mmvet.from_tsv(ROW), "x is -1 or 5").score == 0.5
    long = mmvet.from_tsv(
        {**ROW, "answer": "It is funny that the cat sleeps while the dog does all of the work in this house."}
    )
    assert score(mmvet.TASK, long, "The cat sleeps.").state is State.UNPARSED


@given(st.text(max_size=12))
def test_any_reply_is_a_grade_or_none(reply: str) -> None:
    read = read_grade(reply)
    assert read is None or 0 <= read <= 1


@pytest.mark.parametrize("reply", ["nan", "inf", "1e999", "-0.1", "1.01", "", " ", "0.5.", "9" * 1_000_000])
def test_unreadable(reply: str) -> None:
    assert read_grade(reply) is None


# ---------------------------------------------------------------- rows


def test_hub_row_and_prompt() -> None:
    row = {"question_id": "v1_0", "question": "What is x?", "answer": "3", "capability": "math,ocr", "image": PICTURE}
    sample = mmvet.from_hub(row)
    assert sample.meta == {"capability": ["ocr", "math"], "capabilities": "ocr_math"}
    assert RULES.request(sample).parts == (*PICTURE, "What is x?")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"category": "ocr,speech"}, "speech"),
        ({"category": None}, "'category' is empty"),
        ({"answer": ""}, "'answer' is empty"),
        ({"image": ()}, "no image"),
    ],
)
def test_bad_rows_say_what_is_wrong(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        mmvet.from_tsv({**ROW, **change})
