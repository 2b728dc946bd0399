"""MMMU and MMMU-Pro: the official verdict of every stored real response, prompts, row schemas and hostile responses."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Ask, Image, Response, Sample, Scored, State, Verdict
from harness.scoring.mmmu_parse import open_correct, read_choice, read_choice_after_answer, read_open
from harness.scoring.score import score_all
from tasks import mmmu, mmmu_pro

Shared = Callable[[str], Path]
PICTURES = tuple(Image.from_bytes(bytes([number])) for number in range(8))
MMMU = mmmu.TASK.rules["official"]


class NoJudge:
    """These tasks decide by rule; asking is an error."""

    name = "none"

    def answer(self, asks: Sequence[Ask]) -> Sequence[str | Exception | None]:
        raise AssertionError(f"no judge is needed, asked {asks}")


def verdicts(rules: Any, items: list[tuple[Sample, Response]]) -> list[Verdict]:
    """The verdicts in the order of the items."""
    return [verdict for _, verdict in sorted(score_all(rules, items, NoJudge()), key=lambda pair: pair[0])]


def derived(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return {entry["id"]: entry for entry in map(json.loads, lines)}


# ---------------------------------------------------------------- conformance


def mmmu_output(entry: dict[str, Any]) -> tuple[Sample, Response]:
    """An entry of an official output.json as a sample of the task."""
    gold, options = entry["answer"], entry.get("index2ans", {})
    row: dict[str, Any] = {
        "id": entry["id"],
        "split": "validation",
        "question": "?",
        "answer": gold if isinstance(gold, str) else str(gold),
        "image": PICTURES[:1],
        **(options if entry["question_type"] == "multiple-choice" else {}),
    }
    sample = mmmu.from_tsv(row)
    assert sample is not None
    return sample, Response(entry["response"])


@pytest.fixture(scope="module")
def qwen_vl(shared: Shared) -> list[tuple[Sample, Response]]:
    folder = shared("conformance/mmmu/example_outputs/qwen_vl")
    entries = [entry for file in sorted(folder.glob("*/output.json")) for entry in json.loads(file.read_text())]
    return [mmmu_output(entry) for entry in entries]


def test_mmmu_equals_the_official_verdict_on_every_item(shared: Shared, qwen_vl: Any) -> None:
    expected = derived(shared("conformance/derived/mmmu_qwen_vl.jsonl.gz"))
    stored = json.loads(shared("conformance/mmmu/example_outputs/qwen_vl/total_val_output.json").read_text())
    # Out of order, to show that the random picks follow the protocol's order and not ours.
    items = qwen_vl[450:] + qwen_vl[:450]
    found = verdicts(MMMU, items)
    assert len(found) == 900
    for (sample, _), verdict in zip(items, found, strict=True):
        upstream = expected[sample.id]
        assert verdict.state is State.SCORED
        assert bool(verdict.score) == upstream["official_correct"], sample.id
        if sample.choices:
            assert verdict.extracted == upstream["official_parsed"] == stored[sample.id]
            assert verdict.random == upstream["official_random"]
    assert sum(verdict.random for verdict in found) == 48
    metrics = MMMU.aggregate([Scored(s, v) for (s, _), v in zip(items, found, strict=True)])
    assert round(metrics.score, 2) == 36.11
    assert len(metrics.groups["subject"]) == 30
    assert len(metrics.groups["discipline"]) == 6
    assert sum(cell.n for cell in metrics.groups["discipline"].values()) == 900


@pytest.mark.parametrize(
    ("task", "output", "verdict_file", "total"),
    [
        (mmmu_pro.STANDARD, "gpt-4o_standard(10 options)_cot", "mmmu_pro_gpt-4o_standard10_options_cot", 55.03),
        (mmmu_pro.VISION, "gpt-4o_vision_direct", "mmmu_pro_gpt-4o_vision_direct", 42.43),
    ],
)
def test_mmmu_pro_equals_the_official_verdict_on_every_item(
    shared: Shared, task: Any, output: str, verdict_file: str, total: float
) -> None:
    lines = shared(f"conformance/mmmu_pro/output/{output}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    expected = derived(shared(f"conformance/derived/{verdict_file}.jsonl.gz"))
    items = [(task.from_hub({**row, "image": PICTURES[:1]}), Response(row["response"])) for row in rows]
    found = verdicts(task.rules["official"], items)
    right = 0
    for row, verdict in zip(rows, found, strict=True):
        assert verdict.random == expected[row["id"]]["official_recomputed_random"], row["id"]
        if not verdict.random:  # upstream does not seed its random choice
            assert (verdict.extracted, bool(verdict.score)) == (row["pred_indexs"], row["if_right"]), row["id"]
        right += row["if_right"] if verdict.random else verdict.score
    assert round(100 * right / len(rows), 2) == total


# ---------------------------------------------------------------- prompts and rows


def test_mmmu_prompt_interleaves_images_by_number() -> None:
    sample = mmmu.from_hub(
        {
            "id": "validation_Art_3",
            "question": "Compare <image 2> with <image 1>.",
            "options": "['<image 3>', 'it\\'s red', '1,000']",
            "question_type": "multiple-choice",
            "answer": "C",
            **{f"image_{n}": PICTURES[n - 1 : n] for n in (1, 2, 3)},
            **{f"image_{n}": None for n in (4, 5, 6, 7)},
        }
    )
    request = MMMU.request(sample)
    assert request.text == (
        "Compare <image> with <image>.\n(A) <image>\n(B) it's red\n(C) 1,000\n"
        "\nAnswer with the option's letter from the given choices directly."
    )
    assert request.images == (PICTURES[1], PICTURES[0], PICTURES[2])
    assert sample.meta["subject"] == "Art"
    assert sample.meta["discipline"] == "Art and Design"


def test_mmmu_open_row_with_a_list_of_golds() -> None:
    row = {
        "id": "validation_Math_7",
        "question": "How much?",
        "options": "[]",
        "question_type": "open",
        "answer": "['24/7', '3.429']",
        "image_1": PICTURES[:1],
    }
    sample = mmmu.from_hub(row)
    assert json.loads(sample.answer) == ["24/7", "3.429"]
    assert not sample.choices
    assert MMMU.request(sample).text.endswith("How much?\nAnswer the question using a single word or phrase.")
    assert mmmu.score_open(sample, Response("so the answer is 3.43")).score == 1
    assert mmmu.score_open(sample, Response("It is 5.")).state is State.SCORED
    assert mmmu.score_open(sample, Response(" ")).state is State.UNPARSED
    assert mmmu.score_open(sample, Response("It may be", finish="length")).state is State.TRUNCATED


def test_rows_of_the_dev_split_are_no_items() -> None:
    row = {"id": "dev_Art_1", "split": "dev", "question": "?", "answer": "A", "A": "x", "image": PICTURES[:1]}
    assert mmmu.from_tsv(row) is None


TSV_ROW = {
    "index": "5", "id": "validation_Art_1", "split": "validation", "question": "<image 1>?",
    "A": "x", "B": "y", "answer": "B", "category": "Art", "image": PICTURES[:1],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "E"}, "none of the options"),
        ({"answer": ""}, "'answer' is empty"),
        ({"id": "Art-1"}, "not of the form"),
        ({"image": ()}, "no image"),
        ({"question": float("nan")}, "'question' is empty"),
    ],
)
def test_bad_mmmu_rows_say_what_is_wrong(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        mmmu.from_tsv({**TSV_ROW, **change})


def test_mmmu_pro_prompts() -> None:
    hub = {"id": "test_Art_1", "options": "['u', '<image 1>']", "answer": "B", "subject": "Art"}
    standard = mmmu_pro.STANDARD.from_hub({**hub, "question": "Which <image 2>?", "image_1": PICTURES[:1],
                                           "image_2": PICTURES[1:2]})  # fmt: skip
    assert standard is not None
    request = mmmu_pro.STANDARD.rules["official"].request(standard)
    assert request.text == (
        "Which <image>?\nA. u\nB. <image>\nAnswer with the option letter from the given choices directly."
    )
    assert request.images == (PICTURES[1], PICTURES[0])
    vision = mmmu_pro.VISION.from_hub({**hub, "image": PICTURES[:1]})
    assert vision is not None
    assert mmmu_pro.VISION.rules["official"].request(vision).text == (
        "Answer with the option letter from the given choices directly. The last line of your response should be of "
        "the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of options.<image>"
    )
    assert mmmu_pro.VISION.from_tsv({**TSV_ROW, "id": "test_Art_1", "question": ""}) is not None
    with pytest.raises(ValueError, match="none of the options"):
        mmmu_pro.VISION.from_hub({**hub, "answer": "C", "image": PICTURES[:1]})


# ---------------------------------------------------------------- hostile responses

CHOICES = {"A": "red apple", "B": "12", "C": "", "D": "nan"}


@given(st.text(alphabet=st.sampled_from(" ABCD().,:\n=-0123456789eE%is soanswerAnswer:\u0661\u202e((<"), max_size=60))
def test_parsers_read_any_text(response: str) -> None:
    for choice in (read_choice(response, CHOICES), read_choice_after_answer(response, CHOICES)):
        assert choice.letter in ("", *CHOICES)
    assert isinstance(open_correct(["1e999", "nan", "12"], read_open(response)), bool)


@pytest.mark.parametrize(
    "piece",
    ["1", "1,", "1.", "1e", "-", "1,111,", "((((", "is ", "=\n", "A ", "\u0661", "Answer:", "nan ", "1e999 ", "\x00"],
)
def test_a_megabyte_is_read(piece: str) -> None:
    text = piece * (1_000_000 // len(piece)) + "x"
    assert read_open(text)
    read_choice(text, CHOICES)
    read_choice_after_answer(text, CHOICES)
