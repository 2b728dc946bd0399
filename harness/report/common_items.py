"""Scores over the items that all rows share, so that a curve over stages does not change its items on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.api import Metrics, Unit
from harness.report.entries import Entry
from harness.scoring.aggregate import standard_error


def on_common_items(entries: Sequence[Entry]) -> list[dict[str, Metrics]]:
    """Each entry's metrics over the units that every entry with that benchmark has; their weights again sum to 1.

    A benchmark without a common unit is left out.
    """
    shared: dict[str, set[str]] = {}
    for entry in entries:
        for name, metrics in entry.metrics.items():
            own = {unit.id for unit in metrics.units}
            shared[name] = shared[name] & own if name in shared else own
    return [
        {name: _over(metrics, shared[name]) for name, metrics in entry.metrics.items() if shared[name]}
        for entry in entries
    ]


def _over(metrics: Metrics, ids: set[str]) -> Metrics:
    kept = [unit for unit in metrics.units if unit.id in ids]
    whole = sum(unit.weight for unit in kept)
    units = tuple(replace(unit, weight=unit.weight / whole) for unit in kept)
    mean = _mean(units)
    return Metrics(100 * mean, 100 * standard_error(units, mean), len(units), {}, units)


def _mean(units: Sequence[Unit]) -> float:
    return sum(unit.weight * unit.score for unit in units)
