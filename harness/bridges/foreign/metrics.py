"""From a framework's metric to what paired statistics need: the same number as a mean over units.

Most metrics are the mean of the items' scores: then the items are the units. Of any other (MME's sum over categories,
F1, a corpus BLEU) the units are Tukey's jackknife pseudo-values of the framework's own aggregate: what the whole minus
what the rest gives, per cluster of items that belong together. Their mean is the metric, their spread its error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

#: The aggregate is computed at most so many times: clusters are left out in so many systematic groups.
MOST_GROUPS = 200
_TOLERANCE = 6e-5  # frameworks round what they state
#: What an aggregate raises that cannot do with fewer items; anything else is a fault and ends the run.
_TOO_FEW = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
_NAMES = ("score", "accuracy", "acc", "correct", "is_correct", "true_false", "hit", "match")

#: A unit: id, cluster, score (the metric is 100 times the mean of the scores).
Unit = tuple[str, str, float]


def number(value: Any) -> float | None:
    """The value as a finite number, or None."""
    if isinstance(value, bool | Real) or type(value).__name__ in ("bool_", "bool"):
        found = float(value)
        return found if math.isfinite(found) else None
    return None


def item_score(value: Any, aggregate: Callable[[list[Any]], Any]) -> float | None:
    """The score of one item in what the framework keeps of it: a number, a field of that name, or its own aggregate
    of this item alone; None where it states none.
    """
    if (found := number(value)) is not None:
        return found
    if isinstance(value, Mapping):
        for name in _NAMES:
            if (found := number(value.get(name))) is not None:
                return found
    try:
        return number(aggregate([value]))
    except _TOO_FEW:
        return None


def summary(
    metric: float, items: Mapping[str, float | None], clusters: Mapping[str, str],
    without: Callable[[set[str]], float], *, percent: bool,
) -> dict[str, Any]:  # fmt: skip
    """{"score", "units", "kind"}: the metric (in percent where it is a share of items) and its units.

    `items` are the items that it counts, with their scores; `without(ids)` is the metric without some items; `percent`
    says that the framework states shares in percent. Units are missing where its code refuses to leave items out.
    """
    scores = {name: score for name, score in items.items() if score is not None}
    shares = len(scores) == len(items) and all(0 <= score <= 1 for score in scores.values())
    if scores and len(scores) == len(items):
        mean = math.fsum(scores.values()) / len(scores)
        for factor in (1.0, 100.0) if shares else (1.0,):
            if abs(factor * mean - metric) <= _TOLERANCE * max(factor, abs(metric)):
                unit = 100.0 if shares else 1.0
                units = [(name, clusters[name], unit / 100 * score) for name, score in scores.items()]
                return {"score": metric * unit / factor, "units": units, "kind": "mean of items"}
    factor = 100.0 if shares and not percent and 0 <= metric <= 1 else 1.0
    units = pseudo_values(metric, list(items), clusters, without)
    return {
        "score": factor * metric,
        "units": [(name, cluster, factor / 100 * value) for name, cluster, value in units],
        "kind": "jackknife" if units else "no units",
    }


def pseudo_values(
    metric: float, items: Sequence[str], clusters: Mapping[str, str], without: Callable[[set[str]], float]
) -> list[Unit]:
    """A unit per cluster (or group of clusters): n T - (n - 1) T without it, shifted so that the mean is T."""
    members: dict[str, set[str]] = {}
    for name in items:
        members.setdefault(clusters[name], set()).add(name)
    groups: dict[str, set[str]] = {}
    for place, (cluster, names) in enumerate(members.items()):
        key = cluster if len(members) <= MOST_GROUPS else f"group {place % MOST_GROUPS}"
        groups.setdefault(key, set()).update(names)
    if len(groups) < 2:
        return []
    values = []
    for names in groups.values():
        try:
            rest = number(without(names))
        except _TOO_FEW:
            return []
        if rest is None:
            return []
        values.append(len(groups) * metric - (len(groups) - 1) * rest)
    shift = metric - math.fsum(values) / len(values)
    return [(key, key, value + shift) for key, value in zip(groups, values, strict=True)]
