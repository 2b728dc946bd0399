"""The training seeds of a method as one row: the mean over its last stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.api import Metrics, Unit
from harness.report.entries import Entry
from harness.report.leaderboard import average
from harness.scoring.aggregate import standard_error
from harness.suites import counted, load_suites


def over_seeds(entries: Sequence[Entry], suite: str = "full") -> Entry:
    """One row from the last stages of one method, an entry a seed.

    Scores are means over seeds. The standard errors count the items (scores of an item averaged over seeds) and the
    spread of the seeds' means, which is a little conservative: both hold what a seed does on an item.
    """
    seeds = len(entries)
    shared = [name for name in entries[0].metrics if all(name in entry.metrics for entry in entries)]
    metrics = {name: _mean([entry.metrics[name] for entry in entries]) for name in shared}
    suites = load_suites()
    names = counted((task for task in suites.resolve(suite).tasks if task in metrics), suites.composites)
    mean = average(metrics, names)
    if mean and seeds > 1:
        spread = seed_means(entries, names).var(ddof=1) / seeds
        mean = replace(mean, stderr=float(np.sqrt(mean.stderr**2 + spread)))
    who = dict(entries[0].who)
    who |= {"model": f"{who['method']} (mean of {seeds} seeds)", "stage": "", "fingerprint": ""}
    return Entry(who, metrics, mean)


def seed_means(entries: Sequence[Entry], names: Sequence[str]) -> np.ndarray:
    """Mean over the named benchmarks of each seed's row, [seeds]."""
    return np.array([np.mean([entry.metrics[name].score for name in names]) for entry in entries])


def _mean(metrics: Sequence[Metrics]) -> Metrics:
    """One benchmark over the seeds; its units hold an item's mean score."""
    if len(metrics) == 1:
        return metrics[0]
    scores: dict[str, list[float]] = {}
    for one in metrics:
        for unit in one.units:
            scores.setdefault(unit.id, []).append(unit.score)
    units: tuple[Unit, ...] = tuple(replace(u, score=float(np.mean(scores[u.id]))) for u in metrics[0].units)
    means = np.array([one.score for one in metrics])
    items = 100 * standard_error(units, float(means.mean()) / 100)
    error = float(np.sqrt(items**2 + means.var(ddof=1) / len(means)))
    return Metrics(float(means.mean()), error, metrics[0].n, {}, units)
