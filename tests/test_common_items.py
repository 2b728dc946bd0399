"""Curves over stages compare like with like: the items that all rows share."""

import pytest

from harness.api import Metrics, Unit
from harness.report.common_items import on_common_items
from harness.report.entries import Entry


def _entry(scores: dict[str, float]) -> Entry:
    units = tuple(Unit(name, name, score, 1 / len(scores)) for name, score in scores.items())
    mean = 100 * sum(scores.values()) / len(scores)
    return Entry({}, {"chartqa": Metrics(mean, 0.0, len(units), {}, units)}, None)


def test_rows_are_compared_on_what_they_share() -> None:
    few = _entry({"a": 1.0, "b": 0.0})
    all_items = _entry({"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0})
    short, whole = on_common_items([few, all_items])
    assert (short["chartqa"].score, short["chartqa"].n) == (50.0, 2)
    assert (whole["chartqa"].score, whole["chartqa"].n) == (100.0, 2)
    # two units of weight 1/2 around their mean of 1/2: s / sqrt(n) with s = sqrt(1/2)
    assert short["chartqa"].stderr == pytest.approx(100 * (0.5 / 2) ** 0.5)


def test_nothing_in_common_is_left_out() -> None:
    assert on_common_items([_entry({"a": 1.0}), _entry({"b": 1.0})]) == [{}, {}]
