"""Eq. 3 and the curriculum, checked against the paper's own examples."""

import math
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import HarnessError
from trainers.schedule import Masked, plan, ratio_at, ratios, slices, stage_count


def test_the_papers_examples():
    assert ratios(0.2) == [0.2, 0.15, 0.1, 0.05, 0.0]
    assert [stage_count(r, 0.05) for r in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)] == [1, 3, 5, 7, 9, 11]


@given(st.integers(1, 20), st.integers(1, 500))
def test_equation_3_zero_based_in_exact_arithmetic(steps: int, iterations: int):
    r_max = steps * 0.05
    seen = [ratio_at(i, iterations, r_max) for i in range(iterations)]
    exact = [
        Fraction(steps, 20) - Fraction(1, 20) * math.floor(Fraction(i * (steps + 1), iterations))
        for i in range(iterations)
    ]
    assert seen == pytest.approx([float(r) for r in exact], abs=1e-9)
    assert min(seen) >= 0.0


def test_every_stage_has_the_same_number_of_iterations():
    seen = Counter(ratio_at(i, 100, 0.2) for i in range(100))
    assert set(seen.values()) == {20}
    assert ratio_at(99, 100, 0.2) == 0.0


def test_teachers_follow_one_another():
    stages = plan([Masked("14B", 0.4), Masked("38B", 0.2)])
    assert [s.teacher for s in stages] == ["14B"] * 9 + ["38B"] * 5
    assert [s.index for s in stages] == list(range(14))
    assert stages[9].ratio == 0.2
    assert stages[-1].ratio == 0.0
    assert stages[10].name == "t1-r0.15"


@pytest.mark.parametrize("order", ["progressive", "reversed"])
def test_the_unmasked_stage_is_not_minus_zero(order: str):
    assert "-" not in "".join(f"{r:.2f}" for r in ratios(0.6, 0.1, order))


def test_controls_keep_the_number_of_stages():
    teachers = [Masked("a", 0.2)]
    assert [s.ratio for s in plan(teachers, "reversed")] == [0.0, 0.05, 0.1, 0.15, 0.2]
    assert [s.ratio for s in plan(teachers, "fixed")] == [0.2] * 5
    assert [s.ratio for s in plan(teachers, "fixed", 0.0)] == [0.0] * 5


@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=3), st.integers(40, 2000), st.sampled_from(["by_stages", "equal"])
)
def test_slices_cover_the_data_once(steps: list[int], items: int, split: str):
    stages = plan([Masked(str(i), m * 0.05) for i, m in enumerate(steps)])
    parts = slices(stages, items, split)
    assert [i for part in parts for i in part] == list(range(items))
    sizes = Counter()
    for stage, part in zip(stages, parts, strict=True):
        sizes[stage.teacher_index] += len(part)
    if split == "equal":
        assert max(sizes.values()) - min(sizes.values()) <= 1


@pytest.mark.parametrize(
    "call", [lambda: ratios(0.22), lambda: ratios(1.5), lambda: ratios(0.2, 0.0), lambda: plan([])]
)
def test_bad_settings_are_refused(call):
    with pytest.raises(HarnessError):
        call()


def test_too_few_items_are_refused():
    with pytest.raises(HarnessError, match="3 items"):
        slices(plan([Masked("a", 0.2)]), 3)
