"""Several training seeds: the seed is a random effect beside the items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.stats.paired import Pairs


@dataclass(frozen=True)
class SeededDifference:
    """Mean difference over seeds in points, its interval and p from a t distribution with `df` degrees of freedom.

    `item_stderr` and `seed_stderr` say how much of the uncertainty is due to items and to training seeds, and
    `residual_stderr` what both of them hold; `means` has the difference of each seed.
    """

    points: float
    low: float
    high: float
    stderr: float
    item_stderr: float
    seed_stderr: float
    df: float
    p: float
    means: tuple[float, ...]
    residual_stderr: float
    clusters: int


def compare_seeds(runs: Sequence[Pairs], *, alpha: float = 0.05) -> SeededDifference:
    """Difference a - b over S >= 2 seeds, each a Pairs on the same units in the same order.

    Crossed random effects (seeds x clusters): the variance of the mean is items + seeds - residual, since both of
    the first two contain the residual once; degrees of freedom after Satterthwaite.
    """
    from scipy import stats

    if len(runs) < 2:
        raise ValueError("needs at least two seeds")
    per_seed = np.array([run.sums[0] for run in runs])  # [S, C]
    weight = runs[0].sums[1]
    seeds, clusters = per_seed.shape
    total = weight.sum()
    means = per_seed.sum(axis=1) / total
    mean = float(means.mean())
    centred = per_seed.mean(axis=0) - mean * weight
    items = clusters / (clusters - 1) * (centred**2).sum() / total**2
    seeding = means.var(ddof=1) / seeds
    rest = per_seed - per_seed.mean(axis=0) - (means - mean)[:, None] * weight
    residual = clusters / (clusters - 1) * (rest**2).sum() / ((seeds - 1) * seeds) / total**2
    variance = max(items + seeding - residual, items, seeding)
    # 0 variance: every seed and every cluster agrees
    df = variance**2 / (items**2 / (clusters - 1) + seeding**2 / (seeds - 1)) if variance else float("inf")
    stderr = float(np.sqrt(variance))
    half = float(stats.t.ppf(1 - alpha / 2, df)) * stderr
    p = float(2 * stats.t.sf(abs(mean) / stderr, df)) if stderr else float(mean == 0)
    return SeededDifference(
        100 * mean, 100 * (mean - half), 100 * (mean + half), 100 * stderr, 100 * float(np.sqrt(items)),
        100 * float(np.sqrt(seeding)), float(df), p, tuple(100 * means), 100 * float(np.sqrt(residual)), clusters,
    )  # fmt: skip
