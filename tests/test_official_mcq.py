"""Official readings of multiple choice, against verdicts of the authors' own code on real model outputs."""

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Ask, Response, Sample, Scored, State, Verdict
from harness.scoring.aggregate import macro, micro
from harness.scoring.can_infer import can_infer_2024, can_infer_2026, judged_option
from harness.scoring.circular import circular_group
from harness.scoring.official_mcq import blink, mmstar, named_option, option_letter, strict_letter

# How many options the items of each BLINK task have; the stored outputs do not say.
BLINK_OPTIONS = dict.fromkeys(
    ("Counting", "Forensic_Detection", "Functional_Correspondence", "IQ_Test", "Semantic_Correspondence"), 4
) | {"Visual_Correspondence": 4, "Relative_Reflectance": 3}
BLINK_MODELS = {
    "GPT4o": 60.04,
    "QwenVLMax": None,
    "Yi_VL_6B": None,
    "flamingov2": None,
    "instructblip_7b": None,
    "llava-v1.5-7b-xtuner": None,
    "llava-v1.6-34b": 46.80,
    "llava_v1.5_7b": None,
}
# Stored as "(Z)" although the response is a bare letter, which the published analyze_answer reads without a judge.
BLINK_NOT_AS_PUBLISHED = {
    ("Yi_VL_6B", "val_Counting_69"),
    ("Yi_VL_6B", "val_Counting_88"),
    ("llava-v1.5-7b-xtuner", "val_Counting_69"),
    ("llava-v1.5-7b-xtuner", "val_Counting_70"),
}


def derived(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def answered(outcome, reply):
    """The verdict of a rule whose judge question, if it asks one, is answered by `reply`."""
    if isinstance(outcome, Verdict):
        return outcome
    asked = next(outcome)
    assert isinstance(asked, Ask)
    assert asked.purpose == "match"
    with pytest.raises(StopIteration) as end:
        outcome.send(reply)
    return end.value.value


def blink_items(folder: Path):
    for path in sorted(folder.iterdir()):
        for item in json.loads(path.read_text())["val"]:
            task = item["idx"].removeprefix("val_").rpartition("_")[0]
            choices = {letter: f"<{letter}>" for letter in "ABCD"[: BLINK_OPTIONS.get(task, 2)]}
            yield Sample(item["idx"], "q", item["answer"][1], choices=choices, meta={"sub_task": task}), item


@pytest.mark.parametrize("model", BLINK_MODELS)
def test_blink_equals_the_stored_verdicts(shared, model):
    folder = shared(f"conformance/blink/saved_outputs/{model}")
    upstream = {row["idx"]: row for row in derived(shared(f"conformance/derived/blink_{model}.jsonl.gz"))}
    differing, items = set(), []
    for sample, item in blink_items(folder):
        verdict = answered(blink(sample, Response(item["full_prediction"])), item["prediction"])
        stored = upstream[sample.id]
        if bool(verdict.score) != stored["official_correct"] or (
            verdict.state is not State.JUDGE_FAILED and f"({verdict.extracted})" != stored["official_prediction"]
        ):
            differing.add((model, sample.id))
        items.append(Scored(sample, verdict))
    assert differing == {item for item in BLINK_NOT_AS_PUBLISHED if item[0] == model}
    assert len(items) == 1901
    metrics = macro("sub_task", "sub_task")(items)
    assert len(metrics.groups["sub_task"]) == 14
    if BLINK_MODELS[model]:
        assert round(metrics.score, 2) == BLINK_MODELS[model]


def test_blink_option_named_without_brackets_is_what_the_authors_judge_replied(shared):
    root = shared("conformance/blink/saved_outputs")
    agree = named = 0
    for model in BLINK_MODELS:
        for sample, item in blink_items(root / model):
            if isinstance(blink(sample, Response(item["full_prediction"])), Verdict):
                continue
            letter = named_option(item["full_prediction"], sample.choices)
            named += bool(letter)
            agree += bool(letter) and item["prediction"] == f"({letter})"
    assert (agree, named) == (1898, 1904)


def test_mmstar_equals_official_on_every_item(shared):
    right = 0
    items = []
    for row in derived(shared("conformance/derived/mmstar_llava_next_yi_34b.jsonl.gz")):
        sample = Sample(
            str(row["index"]),
            "q",
            row["gold"],
            choices=dict.fromkeys("ABCD", ""),
            meta={"category": row["category"], "l2_category": row["l2_category"]},
        )
        verdict = mmstar(sample, Response(str(row["prediction"])))
        assert verdict.score == row["official_correct"], row
        right += row["official_correct"]
        items.append(Scored(sample, verdict))
    metrics = micro("category", "l2_category")(items)
    assert round(metrics.score, 2) == 52.07
    assert [metrics.n, len(metrics.groups["category"]), len(metrics.groups["l2_category"])] == [1500, 6, 18]
    assert round(metrics.groups["category"]["coarse perception"].score, 1) == 65.6


def test_seedbench_equals_the_authors_matching(shared):
    lines = shared("conformance/seedbench/SEED-Bench-1/GPT-4V.json").read_text().splitlines()
    rows = [json.loads(line.rstrip(",")) for line in lines if line.strip()]
    items = []
    for row in rows:
        sample = Sample(row["question_id"], "q", row["gt_answer"], choices=dict.fromkeys("ABCD", "text"))
        verdict = strict_letter(sample, Response(row["prediction"]))
        assert bool(verdict.score) == (row["prediction"] == row["gt_answer"])
        items.append(Scored(sample, verdict))
    assert round(micro()(items).score, 2) == 67.28


@pytest.mark.parametrize(("dataset", "rows"), [("MMStar", 1500), ("RealWorldQA", 765), ("SEEDBench_IMG", 14232)])
def test_can_infer_equals_both_vlmevalkit_versions(shared, dataset, rows):
    pandas = pytest.importorskip("pandas")
    path = shared(f"conformance/vlmevalkit_vila/vila_8b_{dataset}.xlsx")
    table = pandas.read_excel(path, keep_default_na=False, na_values=[""], dtype={c: object for c in "ABCD"})
    choices = {
        row["index"]: {letter: str(row[letter]) for letter in "ABCD" if not pandas.isna(row[letter])}
        for row in table.to_dict("records")
    }
    stored = derived(shared(f"conformance/derived/vlmevalkit_vila_8b_{dataset}.jsonl.gz"))
    assert len(stored) == rows
    for row in stored:
        options = choices[row["index"]]
        july = can_infer_2024(row["prediction"], options)
        assert (july is not None and july.letter == row["gold"]) == bool(row["stored_hit"]), row
        august = can_infer_2026(row["prediction"], options)
        assert (august.letter if august else None) == (row["head_can_infer"] or None), row


@pytest.mark.parametrize(
    ("infer", "field"), [(can_infer_2024, "stored_hit"), (can_infer_2026, "head_exact_matching_hit")]
)
def test_circular_groups_equal_vlmevalkit(shared, infer, field):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_excel(shared("conformance/vlmevalkit_vila/vila_8b_CCBench.xlsx"), dtype=str)
    options = {row["index"]: {letter: row[letter] for letter in "ABCD"} for row in table.to_dict("records")}
    score = judged_option(infer)
    items, expected = [], {}
    for group in derived(shared("conformance/derived/vlmevalkit_vila_8b_CCBench_circular.jsonl.gz")):
        expected[str(group["g_index"])] = group[field]
        for row in group["members"]:
            index = str(row["index"])
            meta = {"category": group["category"]}
            sample = Sample(index, "问", row["gold"], choices=options[index], meta=meta)
            items.append(Scored(sample, answered(score(sample, Response(row["prediction"])), None)))
    random.Random(0).shuffle(items)
    metrics = micro("category", group=circular_group)(items)
    assert {unit.id: unit.score for unit in metrics.units} == expected
    assert metrics.n == 510
    if field == "stored_hit":
        assert metrics.score == pytest.approx(33.92156862745098)
        assert metrics.groups["category"]["sketch_reasoning"].score == pytest.approx(64.44444444444444)


OPTIONS = {"A": "red car", "B": "blue car", "C": "bus"}


@pytest.mark.parametrize(
    ("text", "july", "august"),
    [
        ("B", "B", "B"),
        ("**B.** Because it is clearly so", "B", None),  # the letter is not among the last four words
        ("I think that it must be (B)", "B", "B"),
        ("The correct answer is **B**, as you can see there", "B", "B"),
        ("the answer is b", None, "B"),
        ("The answer is a bus", "C", "A"),  # July 2024 has no such pattern and finds the text
        ("A or B", None, None),
        ("it is a bus", "C", "C"),
        ("it is a bus " * 9, "C", None),  # longer than twice all options
        ("none of these: Z", "Z", "Z"),
        ("Cannot determine the answer from A", "Z", "Z"),
        ("Failed to obtain answer via API: B", None, None),
        ("", None, None),
    ],
)
def test_can_infer_rules(text, july, august):
    assert [read and read.letter for read in (can_infer_2024(text, OPTIONS), can_infer_2026(text, OPTIONS))] == [
        july,
        august,
    ]


def test_a_judge_reply_is_read_and_nothing_is_guessed():
    sample = Sample("1", "Which?", "B", choices=OPTIONS)
    score = judged_option(can_infer_2026)
    response = Response("neither I suppose")
    assert answered(score(sample, response), "B").score == 1
    assert answered(score(sample, response), "C").extracted == "C"
    assert answered(score(sample, response), "Z").state is State.UNPARSED
    assert answered(score(sample, response), None).state is State.UNPARSED
    assert answered(score(sample, response), "what?").state is State.JUDGE_FAILED
    assert answered(score(sample, Response("neither I", finish="length")), None).state is State.TRUNCATED
    assert score(sample, Response("Cannot determine the answer")).state is State.REFUSED


@pytest.mark.parametrize("prompt", ["Which?", "哪一个"])
def test_the_judge_is_asked_in_the_language_of_the_question(prompt):
    sample = Sample("1", prompt, "B", choices=OPTIONS)
    ask = next(judged_option(can_infer_2026)(sample, Response("neither I suppose")))
    assert ("单选题" in ask.prompt) == (prompt != "Which?")
    assert f"{prompt}?\n" in ask.prompt
    assert "There are several options: \nA. red car\nB. blue car\nC. bus\n\n" in ask.prompt
    assert ask.data == {"id": "1", "question": prompt, "choices": OPTIONS, "response": "neither I suppose"}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        (" (B). ", "B"),
        ("**B**", "B"),
        ("B. blue car", "B"),
        ("(B) blue car", "B"),
        ("B\nBecause it is blue.", "B"),
        ("The answer is (B).", "B"),
        ("Answer: B", "B"),
        ("The answer is not A. The correct option is **C**", "C"),
        ("The answer is B because option A is red", "B"),
        ("Blue car.", "B"),
        ("A car is blue", None),
        ("The blue car", None),
        ("D", None),
        ("I see A, B and C", None),
        ("", None),
        ("I cannot tell", None),
    ],
)
def test_strict_option_letter(text, letter):
    read = option_letter(text, OPTIONS)
    assert (read and read[0]) == letter
    verdict = strict_letter(Sample("1", "q", "B", choices=OPTIONS), Response(text))
    assert verdict.score == (letter == "B")
    assert (verdict.state is State.SCORED) == (letter is not None)


@pytest.mark.parametrize(
    ("text", "extracted", "score"),
    [
        ("B", "B", 1),
        ("bus", "B", 1),  # the rule reads the first character only
        (" (b) it", "B", 1),
        ("Option B", "B", 1),
        ("The answer is C", "C", 0),
        ("the  answer is B", "", 0),
        ("", "", 0),
        ("(", "", 0),
    ],
)
def test_mmstar_rule(text, extracted, score):
    verdict = mmstar(Sample("1", "q", "B", choices=OPTIONS), Response(text))
    assert (verdict.extracted, verdict.score) == (extracted, score)
    assert (verdict.state is State.SCORED) == bool(extracted)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(E)", "E"),
        ("I see (A) and (B).\n\nSo it is (B)", "B"),
        ("(A) then\n\n nothing", "A"),
        ("(A) or (C)", None),
        ("(D) x", None),  # not offered
        ("", None),
    ],
)
def test_blink_rule(text, letter):
    outcome = blink(Sample("1", "q", "B", choices=OPTIONS), Response(text))
    assert isinstance(outcome, Verdict) == (letter is not None)
    verdict = answered(outcome, None)
    assert verdict.extracted == (letter or "")
    assert verdict.score == (letter == "B")


def test_blink_without_a_judge_takes_the_only_option_named():
    sample = Sample("1", "q", "B", choices=OPTIONS)
    verdict = answered(blink(sample, Response("It is **B**.")), None)
    assert (verdict.extracted, verdict.score, verdict.rule) == ("B", 1, "the only option named")
    assert answered(blink(sample, Response("It is **B**.")), "(A)").score == 0
    assert answered(blink(sample, Response("It is B or C")), None).state is State.UNPARSED


def test_named_option_does_not_read_not_applicable_as_a():
    assert named_option("not applicable (N/A)", OPTIONS) == ""
    assert named_option("（B）the car", OPTIONS) == "B"
    assert named_option("it is the bus", OPTIONS) == "C"


HOSTILE = ["((((" * 250_000, "answer is " * 100_000, "answer is" + " " * 1_000_000, "*" * 1_000_000, "A " * 500_000]
HOSTILE += ["the answer is **" + "*" * 1_000_000, "\n\n" * 500_000, "correct " * 120_000, "‮ا" * 400_000]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_megabyte_ends_in_a_verdict(text):
    sample = Sample("1", "q", "B", choices=OPTIONS)
    for rule in (mmstar, blink, strict_letter, judged_option(can_infer_2024), judged_option(can_infer_2026)):
        assert answered(rule(sample, Response(text)), None).state in set(State)


@given(st.text(), st.sampled_from(["", "A", "(B)", "The answer is ", "\n\n"]))
def test_any_text_ends_in_a_verdict(text, prefix):
    sample = Sample("1", "q", "B", choices=OPTIONS)
    for rule in (mmstar, blink, strict_letter, judged_option(can_infer_2024), judged_option(can_infer_2026)):
        verdict = answered(rule(sample, Response(prefix + text)), None)
        assert 0 <= verdict.score <= 1
        assert (verdict.score == 0) or verdict.state is State.SCORED
