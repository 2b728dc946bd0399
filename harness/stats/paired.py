"""Paired comparison of two models on the same units, clustered by image and circular group.

Units of a cluster are not independent, so everything is computed on cluster sums: D_c = sum of w_u (a_u - b_u) and
W_c = sum of w_u. The difference is sum(D) / sum(W). Few distinct (D, W) pairs exist in practice (right/wrong), so
resampling draws counts of distinct pairs: the same distribution as drawing clusters, at a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.api import HarnessError, Unit

Array = NDArray[np.float64]
_SPARSE = 20  # differing clusters below which the bootstrap is not trusted
_CHUNK_CELLS = 20_000_000  # drawn numbers in memory at a time


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
    `resampled` holds the bootstrap replicates of the difference, for averages over tasks.
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
    resampled: Array


def compare(pairs: Pairs, *, alpha: float = 0.05, resamples: int = 10_000, seed: int = 0) -> Difference:
    """Difference a - b with a cluster-bootstrap interval and a sign-flip permutation test."""
    rng = np.random.default_rng(seed)
    difference, weight = pairs.sums
    mean = difference.sum() / weight.sum()
    stderr = cluster_stderr(difference, weight)
    drawn, low, high = bootstrap(difference, weight, alpha, resamples, rng)
    margin = stats.t.ppf(1 - alpha / 2, max(len(difference) - 1, 1)) + stats.norm.ppf(0.8)
    return Difference(
        points=100 * mean, low=100 * low, high=100 * high, stderr=100 * stderr,
        p=sign_flip(difference, resamples, rng), p_mcnemar=mcnemar(pairs), detectable=100 * margin * stderr,
        won=int((pairs.a > pairs.b).sum()), lost=int((pairs.a < pairs.b).sum()), units=len(pairs.a),
        clusters=len(difference), resampled=100 * drawn,
    )  # fmt: skip


def cluster_stderr(difference: Array, weight: Array) -> float:
    """Sandwich standard error of sum(D) / sum(W), scaled by C / (C - 1); NaN below two clusters."""
    count = len(difference)
    if count < 2:
        return float("nan")
    residual = difference - weight * difference.sum() / weight.sum()
    return float(np.sqrt(count / (count - 1) * (residual**2).sum()) / weight.sum())


def bootstrap(
    difference: Array, weight: Array, alpha: float, resamples: int, rng: np.random.Generator
) -> tuple[Array, float, float]:
    """Resample clusters: replicates of the difference [resamples], and a studentised interval (bootstrap-t).

    Where fewer than _SPARSE clusters differ, resampling knows too few outcomes and the interval is Student's;
    with fewer than 2 clusters, or no spread at all, it is the estimate itself.
    """
    mean = float(difference.sum() / weight.sum())
    stderr = cluster_stderr(difference, weight)
    drawn, spread = _replicates(difference, weight, resamples, rng)
    if not stderr > 0:
        return drawn, mean, mean
    if np.count_nonzero(difference) < _SPARSE:
        half = float(stats.t.ppf(1 - alpha / 2, len(difference) - 1)) * stderr
        return drawn, mean - half, mean + half
    usable = spread > 0  # replicates whose clusters all agree have nothing to studentise by
    low, high = np.quantile((drawn[usable] - mean) / spread[usable], [alpha / 2, 1 - alpha / 2])
    return drawn, mean - high * stderr, mean - low * stderr


def _replicates(difference: Array, weight: Array, resamples: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Differences and their standard errors in bootstrap worlds, each [resamples]."""
    count = len(difference)
    pairs, times = np.unique(np.column_stack([difference, weight]), axis=0, return_counts=True)
    d, w = pairs[:, 0], pairs[:, 1]
    moments = np.column_stack([d, w, d * d, d * w, w * w])
    sums = np.empty((resamples, 5))
    chunk = max(1, _CHUNK_CELLS // len(d))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        sums[start : start + size] = rng.multinomial(count, times / count, size) @ moments
    sd, sw, sdd, sdw, sww = sums.T
    means = sd / sw
    squares = np.maximum(sdd - 2 * means * sdw + means**2 * sww, 0)
    # Rounding leaves dust where all drawn clusters agree.
    squares[squares < 1e-18 * sdd.max(initial=0)] = 0
    return means, np.sqrt(count / max(count - 1, 1) * squares) / sw


def sign_flip(difference: Array, resamples: int, rng: np.random.Generator) -> float:
    """Two-sided p of the permutation test that swaps the two models within whole clusters at random.

    Exactly valid when the models are exchangeable; the observed labelling counts as one permutation.
    """
    size, times = np.unique(np.abs(difference[difference != 0]), return_counts=True)
    if len(size) == 0:
        return 1.0
    observed = abs(difference.sum())
    slack = 1e-12 * size.sum()
    extreme = 0
    chunk = max(1, _CHUNK_CELLS // len(size))
    for start in range(0, resamples, chunk):
        heads = rng.binomial(times, 0.5, (min(chunk, resamples - start), len(size)))
        extreme += int((np.abs((2 * heads - times) @ size) >= observed - slack).sum())
    return (1 + extreme) / (1 + resamples)


def mcnemar(pairs: Pairs) -> float | None:
    """Exact McNemar p for 0/1 scores (units taken as independent); None for other scores."""
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
    rows, times = np.unique(np.column_stack([gained, gap]), axis=0, return_counts=True)
    drawn = rng.multinomial(times.sum(), times / times.sum(), resamples) @ rows
    share = float(gained.sum() / gap.sum()) if gap.sum() else float("nan")
    if np.quantile(drawn[:, 1], alpha) <= 0:
        return Recovered(share, float("nan"), float("nan"))
    positive = drawn[:, 1] > 0
    low, high = np.quantile(drawn[positive, 0] / drawn[positive, 1], [alpha / 2, 1 - alpha / 2])
    return Recovered(share, float(low), float(high))
