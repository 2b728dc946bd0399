"""VLMEvalKit's protocols give upstream's verdict on every stored real response, and its documented prompt frames."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from conformance import (
    BLINK,
    MATHVISTA,
    MMMU_PRO,
    VILA,
    Item,
    blink_items,
    ccbench_items,
    chartqa_items,
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
from harness.scoring.can_infer import can_infer_2026
from harness.scoring.circular import circular_group
from harness.scoring.vlmevalkit_tables import kept_options

Shared = Callable[[str], Path]
#: The response names an option that VLMEvalKit's table has lost ("None", or none at all): it is no option there.
MMSTAR_LOST = {"268", "741"}
FIVE = {letter: f"<{letter}>" for letter in "ABCDE"}
HEAD, OLD = "vlmevalkit@2026-08", "vlmevalkit@2024-07"


def metrics(name: str, protocol: str, items: list[Item], found: list):
    scored = [Scored(item.sample, verdict) for item, verdict in zip(items, found, strict=True)]
    return rules(task(name), protocol).aggregate(scored)


def letter(verdict) -> str | None:
    """What upstream writes for a verdict: a letter, or None where can_infer gave nothing."""
    return verdict.extracted or None


@pytest.mark.parametrize("name", VILA)
def test_stored_hits_and_the_head(shared: Shared, name: str) -> None:
    items = vila_items(shared, name)
    old, head = verdicts(name, OLD, items), verdicts(name, HEAD, items)
    for item, before, now in zip(items, old, head, strict=True):
        assert before.score == item.upstream["stored_hit"], item.sample.id
        assert now.score == item.upstream["head_hit_exact_matching"], item.sample.id
        assert letter(now) == item.upstream["head_can_infer"], item.sample.id
    table = {"mmstar": "MMStar", "realworldqa": "RealWorldQA", "seedbench": "SEEDBench_IMG"}[name]
    with shared(f"conformance/vlmevalkit_vila/vila_8b_{table}_acc.csv").open() as lines:
        (published,) = csv.DictReader(lines)
    result = metrics(name, OLD, items, old)
    assert result.score == pytest.approx(100 * float(published["Overall"]))
    for category, cell in result.groups.get("category", {}).items():
        assert cell.score == pytest.approx(100 * float(published[category]))


def test_ccbench_circular_groups(shared: Shared) -> None:
    items = ccbench_items(shared)
    old, head = verdicts("ccbench", OLD, items), verdicts("ccbench", HEAD, items)
    for found, field in ((old, "stored_hit"), (head, "head_exact_matching_hit")):
        units = {unit.id: unit.score for unit in metrics("ccbench", OLD, items, found).units}
        assert len(units) == 510
        for item in items:
            assert units[circular_group(item.sample)[0]] == item.upstream[field], item.sample.id
    with shared("conformance/vlmevalkit_vila/vila_8b_CCBench_acc.csv").open() as lines:
        (published,) = csv.DictReader(lines)
    result = metrics("ccbench", OLD, items, old)
    assert result.score == pytest.approx(100 * float(published["Overall"]))
    for category, cell in result.groups["category"].items():
        assert cell.score == pytest.approx(100 * float(published[category]))


def test_chartqa(shared: Shared) -> None:
    items = chartqa_items(shared)
    assert len(items) == 2500
    for item, verdict in zip(items, verdicts("chartqa", HEAD, items), strict=True):
        assert bool(verdict.score) == item.upstream["vlmevalkit_correct_head"], item.sample.id
    with shared("conformance/vlmevalkit_vila/vila_8b_ChartQA_TEST_acc.csv").open() as lines:
        (published,) = csv.DictReader(lines)
    result = metrics("chartqa", OLD, items, verdicts("chartqa", OLD, items))
    assert result.score == pytest.approx(float(published["Overall"]))
    for split, cell in result.groups["split"].items():
        assert cell.score == pytest.approx(float(published[f"test_{split}"]))


def test_mmmu(shared: Shared) -> None:
    items = mmmu_items(shared)
    for item, verdict in zip(items, verdicts("mmmu", HEAD, items), strict=True):
        assert verdict.score == item.upstream["vlmevalkit_hit_exact_matching"], item.sample.id
        assert (letter(verdict) or "Z") == item.upstream["vlmevalkit_opt"], item.sample.id


@pytest.mark.parametrize("name", MMMU_PRO)
def test_mmmu_pro(shared: Shared, name: str) -> None:
    items = mmmu_pro_items(shared, name)
    for item, verdict in zip(items, verdicts(name, HEAD, items), strict=True):
        assert verdict.score == item.upstream["vlmevalkit_hit_exact_matching"], item.sample.id
        assert (letter(verdict) or "Z") == item.upstream["vlmevalkit_opt"], item.sample.id


@pytest.mark.parametrize("model", MATHVISTA)
def test_mathvista(shared: Shared, model: str) -> None:
    items = mathvista_items(shared, model)
    judge = RecordedJudge({(i.sample.id, "extract"): i.upstream["extraction"] for i in items})
    for item, verdict in zip(items, verdicts("mathvista", HEAD, items, judge), strict=True):
        prefetched = item.upstream["vlmevalkit_prefetch"]
        assert verdict.rule.startswith("prefetch") == (prefetched is not None), item.sample.id
        assert bool(verdict.score) == item.upstream["vlmevalkit_hit_given_extraction"], item.sample.id


@pytest.mark.parametrize("model", BLINK)
def test_blink_letters(shared: Shared, model: str) -> None:
    """Upstream's letters were read among A to E, without option texts: the stored outputs do not state the options."""
    items = blink_items(shared, model)
    for item, verdict in zip(items, verdicts("blink", HEAD, items), strict=True):
        read = can_infer_2026(item.response.text, FIVE)
        assert (read.letter if read else None) == item.upstream["vlmevalkit_option_only"], item.sample.id
        if read and read.letter in item.sample.choices:
            assert verdict.extracted in (read.letter, "")  # a letter of a further option makes it ambiguous


def test_mmstar_letters(shared: Shared) -> None:
    """Upstream's letters were read among A to D, without the option texts; "Z" where no letter was."""
    items = mmstar_items(shared)
    differing = set()
    for item, verdict in zip(items, verdicts("mmstar", HEAD, items), strict=True):
        upstream = item.upstream["vlmevalkit_option_only"]
        if verdict.rule == "option text":
            assert upstream == "Z"
        elif (verdict.extracted or "Z", verdict.score) != (upstream, item.upstream["vlmevalkit_hit_option_only"]):
            differing.add(item.sample.id)
            assert kept_options(item.sample.choices).keys().isdisjoint(upstream)
    assert differing == MMSTAR_LOST
