"""The mean over tasks of paired differences; the tasks' items are independent of one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.stats.paired import Difference, interval, permutation_p
from harness.stats.seeds import SeededDifference, crossed


@dataclass(frozen=True)
class Overall:
    """Mean difference over tasks in points, its interval and p."""

    points: float
    low: float
    high: float
    p: float


def mean_over_tasks(parts: Sequence[Difference], shares: Sequence[float], *, alpha: float = 0.05) -> Overall:
    """Bootstrap-t interval and sign-flip p of the mean, from the worlds that each task drew on its own.

    `shares` are the tasks' weights, which sum to 1.
    """
    points = sum(share * part.points for share, part in zip(shares, parts, strict=True))
    errors = np.nan_to_num([part.stderr for part in parts]) * shares
    drawn = np.array(shares) @ [part.resampled for part in parts]
    spread = np.sqrt(np.square(shares) @ [part.resampled_stderr**2 for part in parts])
    stderr = float(np.sqrt((errors**2).sum()))
    df = _freedom(errors**2, [part.clusters - 1 for part in parts])
    differing = sum(part.differing for part in parts)
    low, high = interval(points, stderr, (drawn, spread), differing, df, alpha)
    swaps = np.array(shares) @ [part.swapped for part in parts]
    return Overall(points, low, high, permutation_p(points, swaps))


def mean_over_tasks_and_seeds(
    parts: Sequence[SeededDifference], shares: Sequence[float], *, alpha: float = 0.05
) -> Overall:
    """The same where every task has the same training seeds: a seed is common to all tasks, so its means are averaged.

    Crossed random effects as in `compare_seeds`.
    """
    from scipy import stats

    seeds = len(parts[0].means)
    points = sum(share * part.points for share, part in zip(shares, parts, strict=True))
    items = np.square([part.item_stderr for part in parts]) * np.square(shares)
    residual = float(np.square(shares) @ np.square([part.residual_stderr for part in parts]))
    seeding = float((np.array(shares) @ [part.means for part in parts]).var(ddof=1)) / seeds
    variance, df = crossed(items, [part.clusters - 1 for part in parts], seeding, seeds, residual)
    stderr = float(np.sqrt(variance))
    if not stderr:  # every seed and every cluster agrees
        return Overall(points, points, points, float(points == 0))
    half = float(stats.t.ppf(1 - alpha / 2, df)) * stderr
    return Overall(points, points - half, points + half, float(2 * stats.t.sf(abs(points) / stderr, df)))


def _freedom(variances: np.ndarray, freedoms: Sequence[int]) -> float:
    """Degrees of freedom of a sum of estimated variances, after Satterthwaite."""
    below = sum(v**2 / f for v, f in zip(variances.tolist(), freedoms, strict=True) if v)
    return float(variances.sum()) ** 2 / below if below else float("inf")
