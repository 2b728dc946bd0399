"""lmms-eval's protocols give upstream's verdict on every stored real response, and its prompts byte for byte."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conformance import (
    BLINK,
    MATHVISTA,
    MMMU_PRO,
    PICTURES,
    VILA,
    Item,
    blink_items,
    mathvista_items,
    mmmu_items,
    mmmu_pro_items,
    mmstar_items,
    verdicts,
    vila_items,
)

from harness.api import Scored
from harness.judge.recorded import RecordedJudge
from harness.registry import rules, task
from harness.scoring.lmms_mcq import extract_letter, first_character
from tasks import mmbench, mmmu

Shared = Callable[[str], Path]
PIN, FIXED = "lmms-eval@0.7.2", "lmms-eval@post-1471"


def total(name: str, protocol: str, items: list[Item], found: list) -> float:
    scored = [Scored(item.sample, verdict) for item, verdict in zip(items, found, strict=True)]
    return round(rules(task(name), protocol).aggregate(scored).score, 2)


@pytest.mark.parametrize(("protocol", "field"), [(PIN, "lmms_correct_pre1471"), (FIXED, "lmms_correct")])
def test_mmmu(shared: Shared, protocol: str, field: str) -> None:
    items = mmmu_items(shared)
    found = verdicts("mmmu", protocol, items)
    assert len(items) == 900
    for item, verdict in zip(items, found, strict=True):
        assert verdict.random == item.upstream["lmms_random"], item.sample.id
        if item.sample.choices and not verdict.random:
            assert verdict.extracted == item.upstream["lmms_parsed"], item.sample.id
        if not verdict.random:  # upstream's own draws depend on what else its process drew before
            assert bool(verdict.score) == item.upstream[field], item.sample.id


@pytest.mark.parametrize("name", MMMU_PRO)
def test_mmmu_pro(shared: Shared, name: str) -> None:
    items = mmmu_pro_items(shared, name)
    found = verdicts(name, PIN, items)
    assert len(items) == 1730
    for item, verdict in zip(items, found, strict=True):
        assert verdict.random == item.upstream["lmms_random"], item.sample.id
        if not verdict.random:
            assert bool(verdict.score) == item.upstream["lmms_correct"], item.sample.id
            if name == "mmmu_pro_standard":
                assert verdict.extracted == item.upstream["lmms_parsed"]


@pytest.mark.parametrize("model", MATHVISTA)
def test_mathvista(shared: Shared, model: str) -> None:
    items = mathvista_items(shared, model)
    judge = RecordedJudge({(i.sample.id, "extract"): i.upstream["extraction"] for i in items})
    found = verdicts("mathvista", PIN, items, judge)
    assert len(items) == 1000
    for item, verdict in zip(items, found, strict=True):
        assert bool(verdict.score) == item.upstream["lmms_true_false"], item.sample.id


@pytest.mark.parametrize("model", BLINK)
def test_blink(shared: Shared, model: str) -> None:
    items = blink_items(shared, model)
    found = verdicts("blink", PIN, items)
    assert len(items) == 1901
    for item, verdict in zip(items, found, strict=True):
        assert verdict.extracted == item.upstream["lmms_parsed"], item.sample.id
        assert bool(verdict.score) == item.upstream["lmms_correct"], item.sample.id


def test_mmstar(shared: Shared) -> None:
    items = mmstar_items(shared)
    found = verdicts("mmstar", PIN, items)
    assert len(items) == 1500
    for item, verdict in zip(items, found, strict=True):
        assert verdict.extracted == item.upstream["lmms_parsed"], item.sample.id
        assert verdict.score == item.upstream["lmms_correct"], item.sample.id
    assert total("mmstar", PIN, items, found) == 52.72
    scored = [Scored(item.sample, verdict) for item, verdict in zip(items, found, strict=True)]
    cells = rules(task("mmstar"), PIN).aggregate(scored).groups["category"]
    assert round(cells["coarse perception"].score, 1) == 71.0  # the mean of three abilities, not of 250 items


@pytest.mark.parametrize("name", VILA)
def test_readers_on_vlmevalkit_runs(shared: Shared, name: str) -> None:
    items = vila_items(shared, name)
    for item in items:
        text, upstream = item.response.text, item.upstream
        assert extract_letter(text).letter == (upstream["lmms_mcq_extract"] or ""), item.sample.id
        right = first_character(text).letter == item.sample.answer
        assert right == bool(upstream["lmms_seed_first_char_correct"]), item.sample.id
    scored_by = {"mmstar": "lmms_mcq_extract", "realworldqa": "lmms_mcq_extract"}
    for item, verdict in zip(items, verdicts(name, PIN, items), strict=True):
        if name == "seedbench":
            assert verdict.score == item.upstream["lmms_seed_first_char_correct"]
        elif item.sample.answer in "ABCD":
            assert verdict.score == (item.upstream[scored_by[name]] == item.sample.answer)


# ---------------------------------------------------------------- prompts


def test_prompts_are_lmms_evals_own_snapshots(shared: Shared) -> None:
    folder = shared("conformance/lmms_eval_prompt_snapshots")
    mmmu_row = {
        "id": "validation_Accounting_1", "question_type": "multiple-choice", "answer": "B", "image_1": PICTURES[:1],
        "question": "In the context of agency theory, which scenario best illustrates a Type I agency problem?",
        "options": ["Shareholders disagreeing with bondholders over dividend policy",
                    "Managers pursuing personal projects that reduce firm value",
                    "Majority shareholders expropriating minority shareholders",
                    "Suppliers refusing to extend credit terms to the firm"],
    }  # fmt: skip
    mmbench_row = {
        "index": 202, "question": "What color is the car in the image?", "hint": "nan", "answer": "B", "A": "Red",
        "B": "Blue", "C": "Green", "D": "Yellow", "category": "x", "L2-category": "y", "image": PICTURES[:1],
    }  # fmt: skip
    blink_row = {
        "idx": "1", "sub_task": "Art_Style", "question": "?", "choices": ["a", "b", "c", "d"], "answer": "(A)",
        "prompt": "Which of the following art styles best matches the painting shown in the image?",
        "image_1": PICTURES[:1],
    }  # fmt: skip
    cases = {
        "mmmu_val__mc": ("mmmu", mmmu.from_hub(mmmu_row)),
        "mmbench_en_dev__nohint": ("mmbench_en", mmbench.from_hub(mmbench_row)),
        "blink__art_style": ("blink", task("blink").from_hub(blink_row)),
    }
    assert {path.stem for path in folder.glob("*.json")} == set(cases)
    for name, (benchmark, sample) in cases.items():
        golden = json.loads((folder / f"{name}.json").read_text())
        assert sample is not None
        request = rules(task(benchmark), PIN).request(sample)
        assert "".join(part for part in request.parts if isinstance(part, str)) == golden["prompt_text"]
        settings = golden["gen_kwargs"]
        assert request.generation.max_new_tokens == settings["max_new_tokens"]
        assert list(request.generation.stop) == settings.get("until", [])
        assert request.generation.temperature == settings.get("temperature", 0)
