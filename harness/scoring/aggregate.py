"""From verdicts to a benchmark's numbers: micro and macro means, per-category tables, circular groups.

Every aggregate is a weighted mean over units, a unit being what the benchmark counts as one question. So the
standard error and all paired statistics are written once, for micro and macro means alike.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.api import Group, Metrics, Sample, Scored, Unit

Aggregate = Callable[[Sequence[Scored]], Metrics]
#: Names the circular group of a sample (one question asked several times) and says whether it is the main row.
Grouping = Callable[[Sample], tuple[str, bool]]


def micro(*facets: str, group: Grouping | None = None) -> Aggregate:
    """Mean over units; a table for each facet (a key of Sample.meta; a list counts the unit in each of its names)."""

    def aggregate(items: Sequence[Scored]) -> Metrics:
        counted = _collapse(items, group)
        weight = 1.0 / len(counted) if counted else 0.0
        return _metrics(counted, [weight] * len(counted), facets)

    return aggregate


def macro(by: str, *facets: str, group: Grouping | None = None) -> Aggregate:
    """Unweighted mean of the means of the groups named by the facet `by`; tables for `facets`, weighted alike.

    So where a facet is coarser than `by`, its cells are means of means too (lmms-eval's categories of MMStar).
    """

    def aggregate(items: Sequence[Scored]) -> Metrics:
        counted = _collapse(items, group)
        sizes: dict[Any, int] = defaultdict(int)
        for item in counted:
            sizes[item.sample.meta[by]] += 1
        weights = [1.0 / (len(sizes) * sizes[item.sample.meta[by]]) for item in counted]
        return _metrics(counted, weights, facets)

    return aggregate


class _Counted:
    """One unit: its main sample and its score in [0, 1]."""

    __slots__ = ("id", "sample", "score")

    def __init__(self, unit: str, sample: Sample, score: float) -> None:
        self.id, self.sample, self.score = unit, sample, score


def _collapse(items: Sequence[Scored], group: Grouping | None) -> list[_Counted]:
    """One unit per sample, or per circular group: right only if every pass is right, labelled by its main row."""
    if group is None:
        return [_Counted(item.sample.id, item.sample, item.verdict.score) for item in items]
    units: dict[str, _Counted] = {}
    for item in items:
        name, main = group(item.sample)
        unit = units.get(name)
        if unit is None:
            units[name] = _Counted(name, item.sample, item.verdict.score)
        else:
            unit.score = min(unit.score, item.verdict.score)
            if main:
                unit.sample = item.sample
    return list(units.values())


def _metrics(counted: list[_Counted], weights: list[float], facets: Sequence[str]) -> Metrics:
    units = tuple(Unit(c.id, c.sample.cluster or c.id, c.score, w) for c, w in zip(counted, weights, strict=True))
    mean = math.fsum(u.weight * u.score for u in units)
    tables = {facet: _table(counted, weights, facet) for facet in facets}
    return Metrics(100 * mean, 100 * standard_error(units, mean), len(units), tables, units)


def _table(counted: list[_Counted], weights: Sequence[float], facet: str) -> Mapping[str, Group]:
    cells: dict[str, list[tuple[float, float]]] = {}
    for unit, weight in zip(counted, weights, strict=True):
        names = unit.sample.meta.get(facet)
        if names is None:
            continue
        for name in (names,) if isinstance(names, str) else names:
            cells.setdefault(str(name), []).append((weight, unit.score))
    return {name: Group(100 * _mean(units), len(units)) for name, units in cells.items()}


def _mean(units: Sequence[tuple[float, float]]) -> float:
    """The weighted mean of (weight, score) pairs."""
    return math.fsum(weight * score for weight, score in units) / math.fsum(weight for weight, _ in units)


def standard_error(units: Sequence[Unit], mean: float) -> float:
    """Cluster-robust standard error of a weighted mean, in score units.

    Residuals are summed within a cluster, squared, and scaled by C / (C - 1), C being the number of clusters
    (the sandwich estimator; with clusters of one and equal weights it is s / sqrt(n)). NaN below two clusters.
    """
    residual: dict[str, float] = defaultdict(float)
    for unit in units:
        residual[unit.cluster] += unit.weight * (unit.score - mean)
    clusters = len(residual)
    if clusters < 2:
        return math.nan
    return math.sqrt(clusters / (clusters - 1) * math.fsum(r * r for r in residual.values()))
