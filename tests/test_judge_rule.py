"""The rule judge: what it reads, where it declines, and that recorded judges say what was recorded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Ask, HarnessError
from harness.judge.recorded import RecordedJudge
from harness.judge.rule import open_judge

CHOICES = ["3/11", "8/11", "red apple", "apple"]


def answer(purpose: str, **data: Any) -> str | Exception | None:
    return open_judge().answer([Ask(purpose, "prompt", data=data)])[0]


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("The correct answer is (B) 8/11.", "B"),
        ("Option A looks right, but the answer is: **C**. A trap!", "C"),
        ("A cat sits there, so B", "B"),
        ("answer: b", "B"),
        ("(a) or rather (D)", "D"),
        ("it must be a red apple", "C"),
        ("an apple", "D"),
        ("no idea", None),
        ("所以答案是C。", "C"),
        ("选B", "B"),
        ("∠C = 85°", None),
        ("A pineapple", None),
        ("(A) 3/11 (B) 8/11 (C) red (D) blue", None),
        ("D. apple or not", "D"),
        ("E", None),
        ("", None),
    ],
)
def test_extract_an_option(response: str, letter: str | None) -> None:
    data = {"response": response, "question_type": "multi_choice", "answer_type": "text", "choices": CHOICES}
    assert answer("extract", **data) == letter


@pytest.mark.parametrize(
    ("response", "answer_type", "expected"),
    [
        ("7 + 7, so the answer is 14, not 15.", "integer", "14"),
        ("It costs $1,234.50.", "float", "1234.50"),
        ("x = -5", "integer", "-5"),
        ("5-3 is two", "integer", "3"),
        ("Between 2007 and 2008: [2007, 2008]", "list", "[2007, 2008]"),
        ("2007 and 2008", "list", None),
        ("none", "integer", None),
    ],
)
def test_extract_a_number_or_list(response: str, answer_type: str, expected: str | None) -> None:
    data = {"response": response, "question_type": "free_form", "answer_type": answer_type, "choices": []}
    assert answer("extract", **data) == expected


@pytest.mark.parametrize(
    ("gold", "response", "share"),
    [
        ("-1<AND>-5", "x = -1 or x = -5.", "1"),
        ("-1<AND>-5", "x = -1", "0.5"),
        ("-1<AND>-5", "x = 1 or 5", "0"),
        ("eight<OR>8.0", "There are 8.", "1"),
        ("2500<OR>2,500", "2500 W", "1"),
        ("red", "a hundred", "0"),
        ("蓝色", "这是蓝色的", "1"),
        ("a long text " * 9, "a long text", None),
    ],
)
def test_grade_is_the_share_of_parts(gold: str, response: str, share: str | None) -> None:
    assert answer("grade", gold=gold, response=response) == share


def test_reward_is_equality_after_normalisation() -> None:
    assert answer("reward", gold="7.0", response=" 7. ") == "1"
    assert answer("reward", gold="The cat", response="a cat!") == "1"
    assert answer("reward", gold="(B)", response="B") == "1"
    assert answer("reward", gold="Ｂ１", response="b1") == "1"
    assert answer("reward", gold="cat", response="cats") == "0"
    assert answer("reward", gold="?", response="") == "0"


def test_it_has_no_rule_for_matching_and_names_a_missing_field() -> None:
    assert answer("match", response="B") is None
    assert isinstance(answer("grade", gold="B"), HarnessError)
    with pytest.raises(HarnessError, match="no options"):
        open_judge("fast")


def test_recorded_answers() -> None:
    judge = RecordedJudge({("1", "extract"): "B"})
    known, unknown = judge.answer([Ask("extract", "?", data={"id": "1"}), Ask("grade", "?", data={"id": "1"})])
    assert known == "B"
    assert isinstance(unknown, HarnessError)


@given(st.text(max_size=80), st.text(max_size=20))
def test_any_text_is_judged(response: str, gold: str) -> None:
    fields = {"response": response, "gold": gold, "choices": CHOICES}
    for question_type, answer_type in (("multi_choice", "text"), ("free_form", "float"), ("free_form", "list")):
        extracted = answer("extract", question_type=question_type, answer_type=answer_type, **fields)
        assert extracted is None or isinstance(extracted, str)
    assert answer("reward", **fields) in ("0", "1")
    share = answer("grade", **fields)
    assert share is None or 0 <= float(str(share)) <= 1


@pytest.mark.parametrize(
    "piece", ["1", "1,", "1.", "-", "answer is ", "A ", "(a", "[", "1,111", "e5", "一", "ﷺ", "\x00"]
)
def test_a_megabyte_is_judged(piece: str) -> None:
    response = piece * (1_000_000 // len(piece)) + "x"
    answer("extract", response=response, question_type="multi_choice", answer_type="text", choices=CHOICES)
    answer("extract", response=response, question_type="free_form", answer_type="float", choices=[])
    answer("extract", response=response, question_type="free_form", answer_type="list", choices=[])
    assert answer("reward", response=response, gold="7") == "0"
