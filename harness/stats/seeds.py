"""Several training seeds: the seed is a random effect beside the items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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

    Crossed random effects (seeds x clusters), see `crossed`.
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
    variance, df = crossed(np.array([items]), [clusters - 1], seeding, seeds, residual)
    stderr = float(np.sqrt(variance))
    half = float(stats.t.ppf(1 - alpha / 2, df)) * stderr
    p = float(2 * stats.t.sf(abs(mean) / stderr, df)) if stderr else float(mean == 0)
    return SeededDifference(
        100 * mean, 100 * (mean - half), 100 * (mean + half), 100 * stderr, 100 * float(np.sqrt(items)),
        100 * float(np.sqrt(seeding)), float(df), p, tuple(100 * means), 100 * float(np.sqrt(residual)), clusters,
    )  # fmt: skip


def crossed(
    items: NDArray[np.float64], item_freedoms: Sequence[int], seeding: float, seeds: int, residual: float
) -> tuple[float, float]:
    """Variance and degrees of freedom of a mean over seeds and items; `items` has the variance of each task's items.

    The variance is items + seeds - residual, since both of the first two contain the residual once. It is not cut at
    either of them: that would be too wide where seeds hardly differ (97 % instead of 95). The degrees of freedom are
    Satterthwaite's, but a spread of few seeds that comes out small by chance must not make them many (93 % instead of
    95 for 3 seeds): its square counts with the excess that it has on average, 2 / (seeds - 1); and they are not fewer
    than those of the seeds. benchmarks/results/compare_validity.md has the coverage.
    """
    variance = max(float(items.sum()) + seeding - residual, residual)
    below = sum(v**2 / f for v, f in zip(items.tolist(), item_freedoms, strict=True) if v)
    below += (1 + 2 / (seeds - 1)) * seeding**2 / (seeds - 1)
    # Nothing below: every seed and every cluster agrees.
    return variance, max(variance**2 / below, seeds - 1) if below else float("inf")
