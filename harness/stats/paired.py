"""Paired comparison of two models on the same units, clustered by image and circular group.

Units of a cluster are not independent, so everything is computed on cluster sums: D_c = sum of w_u (a_u - b_u) and
W_c = sum of w_u. The difference is sum(D) / sum(W).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.api import HarnessError, Unit
from harness.stats.resample import Array, redrawn, replicates, swapped

_SPARSE = 20  # differing clusters below which the bootstrap is not trusted


@dataclass(frozen=True)
class Pairs:
    """Two models on the same units: `a`, `b` scores and `weight` of each unit [U], `cluster` index of each [U]."""

    a: Array
    b: Array
    weight: Array
    cluster: NDArray[np.int64]

    @property
    def sums(self) -> tuple[Array, Array]:
        """Per cluster: weighted difference D [C] and weight W [C]."""
        count = int(self.cluster.max()) + 1
        difference: Array = np.bincount(self.cluster, self.weight * (self.a - self.b), count).astype(np.float64)
        weight: Array = np.bincount(self.cluster, self.weight, count).astype(np.float64)
        return difference, weight


def pair(a: Sequence[Unit], b: Sequence[Unit]) -> Pairs:
    """Align two unit lists by id.

    Raises HarnessError when they are not the same units, since then nothing is paired.
    """
    of_b = {unit.id: unit for unit in b}
    if len(of_b) != len(a) or any(unit.id not in of_b for unit in a):
        missing = [unit.id for unit in a if unit.id not in of_b] or sorted(of_b.keys() - {u.id for u in a})
        raise HarnessError(
            f"the two sides do not have the same items ({len(a)} and {len(b)}; for instance {missing[:3]})",
            "evaluate both on the same data with the same --limit",
        )
    _, cluster = np.unique([unit.cluster for unit in a], return_inverse=True)
    return Pairs(
        np.array([u.score for u in a]), np.array([of_b[u.id].score for u in a]), np.array([u.weight for u in a]),
        cluster.astype(np.int64),
    )  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """A paired difference in points (percent). `p` is of the sign-flip permutation test, `p_mcnemar` for 0/1 scores.

    `detectable` is the smallest true difference found with 80 % power at this alpha; `won` and `lost` count units.
    For means over tasks: `resampled` and `resampled_stderr` are the bootstrap replicates of the difference and their
    standard errors, `swapped` the differences under random swaps of the two models; `differing` clusters have any.
    """

    points: float
    low: float
    high: float
    stderr: float
    p: float
    p_mcnemar: float | None
    detectable: float
    won: int
    lost: int
    units: int
    clusters: int
    differing: int
    resampled: Array
    resampled_stderr: Array
    swapped: Array


def compare(pairs: Pairs, *, alpha: float = 0.05, resamples: int = 10_000, seed: int = 0) -> Difference:
    """Difference a - b with a cluster-bootstrap interval and a sign-flip permutation test."""
    from scipy import stats

    rng = np.random.default_rng(seed)
    difference, weight = pairs.sums
    total = weight.sum()
    mean = float(difference.sum() / total)
    stderr = cluster_stderr(difference, weight)
    drawn, spread = replicates(difference, weight, resamples, rng)
    differing = int(np.count_nonzero(difference))
    low, high = interval(mean, stderr, (drawn, spread), differing, len(difference) - 1, alpha)
    swaps = swapped(difference, resamples, rng) / total
    margin = stats.t.ppf(1 - alpha / 2, max(len(difference) - 1, 1)) + stats.norm.ppf(0.8)
    return Difference(
        points=100 * mean, low=100 * low, high=100 * high, stderr=100 * stderr,
        p=permutation_p(mean, swaps), p_mcnemar=mcnemar(pairs), detectable=100 * margin * stderr,
        won=int((pairs.a > pairs.b).sum()), lost=int((pairs.a < pairs.b).sum()), units=len(pairs.a),
        clusters=len(difference), differing=differing, resampled=100 * drawn, resampled_stderr=100 * spread,
        swapped=100 * swaps,
    )  # fmt: skip


def cluster_stderr(difference: Array, weight: Array) -> float:
    """Sandwich standard error of sum(D) / sum(W), scaled by C / (C - 1); NaN below two clusters."""
    count = len(difference)
    if count < 2:
        return float("nan")
    residual = difference - weight * difference.sum() / weight.sum()
    return float(np.sqrt(count / (count - 1) * (residual**2).sum()) / weight.sum())


def interval(
    mean: float, stderr: float, worlds: tuple[Array, Array], differing: int, df: float, alpha: float
) -> tuple[float, float]:
    """Studentised interval (bootstrap-t) from the means and standard errors of bootstrap worlds.

    Where fewer than _SPARSE clusters differ, resampling knows too few outcomes and the interval is Student's with `df`
    degrees of freedom; with fewer than 2 clusters, or no spread at all, it is the estimate itself.
    """
    from scipy import stats

    drawn, spread = worlds
    if not stderr > 0:
        return mean, mean
    if differing < _SPARSE:
        half = float(stats.t.ppf(1 - alpha / 2, df)) * stderr
        return mean - half, mean + half
    usable = spread > 0  # replicates whose clusters all agree have nothing to studentise by
    low, high = np.quantile((drawn[usable] - mean) / spread[usable], [alpha / 2, 1 - alpha / 2])
    return mean - high * stderr, mean - low * stderr


def permutation_p(observed: float, drawn: Array) -> float:
    """Two-sided mid-p of an observed sum among those drawn under the null: what equals it counts half.

    Sums of right and wrong answers take few values; counting equal ones whole gives the exact test, whose false alarms
    stay well below alpha (3.7 % of 5 % at 200 items). The observed labelling itself counts as one permutation.
    """
    slack = 1e-9 * max(abs(observed), float(np.abs(drawn).max(initial=0)))
    if abs(observed) <= slack:
        return 1.0
    size = np.abs(drawn) - abs(observed)
    beyond, equal = int((size > slack).sum()), int((np.abs(size) <= slack).sum())
    return (beyond + (equal + 1) / 2) / (len(drawn) + 1)


def mcnemar(pairs: Pairs) -> float | None:
    """Exact McNemar p for 0/1 scores (units taken as independent); None for other scores."""
    from scipy import stats

    if not np.isin(np.concatenate([pairs.a, pairs.b]), (0.0, 1.0)).all():
        return None
    won, lost = int((pairs.a > pairs.b).sum()), int((pairs.a < pairs.b).sum())
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0


@dataclass(frozen=True)
class Recovered:
    """Share of the gap from base to teacher that the student recovered; `low`/`high` NaN when the gap may be 0."""

    share: float
    low: float
    high: float


def gap_recovered(
    student: Pairs, teacher: Pairs, *, alpha: float = 0.05, resamples: int = 10_000, seed: int = 0
) -> Recovered:
    """(student - base) / (teacher - base); both Pairs have the base as `b` and the same units in the same order.

    Cluster bootstrap of the ratio. Where the teacher's own advantage over the base is not clear at `alpha`, a ratio
    says nothing and its interval is NaN.
    """
    rng = np.random.default_rng(seed)
    gained, _ = student.sums
    gap, _ = teacher.sums
    drawn = redrawn(np.column_stack([gained, gap]), resamples, rng)
    share = float(gained.sum() / gap.sum()) if gap.sum() else float("nan")
    if np.quantile(drawn[:, 1], alpha) <= 0:
        return Recovered(share, float("nan"), float("nan"))
    positive = drawn[:, 1] > 0
    low, high = np.quantile(drawn[positive, 0] / drawn[positive, 1], [alpha / 2, 1 - alpha / 2])
    return Recovered(share, float(low), float(high))
