"""One-sided tests that may be looked at several times: alpha spending after Lan and DeMets (Biometrika 1983).

The spending function is the O'Brien-Fleming type: almost nothing is spent early, where few clusters are in and the
normal approximation is poor, and the last look is nearly that of a test with one look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from harness.stats.paired import Pairs, cluster_stderr
from harness.stats.resample import Array

_NODES = 160  # Gauss-Legendre nodes of the density of a look; boundaries then agree to 4 digits
_FAR = 8.5  # standard deviations beyond which a normal density counts as 0


def spent(alpha: float, fraction: float) -> float:
    """How much of the one-sided `alpha` may be spent when this fraction of the information is in."""
    return float(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(fraction)))


@cache
def boundaries(alpha: float, looks: int) -> Array:
    """Z values [looks]: a test that rejects at the first look whose z reaches its boundary has level `alpha`.

    The looks are after equal shares of the information. The crossing probabilities are integrated look by look
    (Armitage, McPherson and Rowe, JRSS A 1969).
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    found: list[float] = []
    at: Array = np.zeros(1)  # B(t) = z sqrt(t) at the last look, where the test goes on
    mass: Array = np.ones(1)
    before = used = 0.0
    for fraction in ((i + 1) / looks for i in range(looks)):
        budget, step = spent(alpha, fraction) - used, float(np.sqrt(fraction - before))

        def excess(limit: float, at: Array = at, mass: Array = mass, step: float = step, left: float = budget) -> float:
            return float((mass * stats.norm.sf((limit - at) / step)).sum()) - left

        limit = float(optimize.brentq(excess, -_FAR, 4 * _FAR))
        low = -_FAR * np.sqrt(fraction)
        points = low + (nodes + 1) / 2 * (limit - low)
        density = stats.norm.pdf((points[:, None] - at[None, :]) / step) @ mass / step
        at, mass = points, density * weights * (limit - low) / 2
        found.append(limit / np.sqrt(fraction))
        before, used = fraction, used + budget
    return np.array(found)


@dataclass(frozen=True)
class Estimate:
    """A paired mean difference in points with its standard error and degrees of freedom (NaN below two clusters).

    `variance` is the clusters' own, without the imagined ones that `stderr` holds.
    """

    points: float
    stderr: float
    df: float
    variance: float
    clusters: int

    def z_above(self, points: float) -> float:
        """Z of the test that the true difference is above `points`: the t statistic's tail as a normal quantile."""
        if not self.stderr > 0:
            return float("nan")
        return -float(special.ndtri(special.stdtr(self.df, (points - self.points) / self.stderr)))

    def z_below(self, points: float) -> float:
        """Z of the test that the true difference is below `points`."""
        return -self.z_above(points)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Two one-sided bounds, each at level `alpha`."""
        half = -float(special.stdtrit(self.df, alpha)) * self.stderr
        return self.points - half, self.points + half


def estimate(pairs: Pairs) -> Estimate:
    """The difference a - b, clustered.

    Two imagined clusters, one won and one lost outright, enter the standard error (not the difference), after
    Agresti and Min (Biostatistics 2005): 20 items on which two models agree do not prove that they always agree.
    """
    difference, weight = pairs.sums
    points, clusters = 100 * float(difference.sum() / weight.sum()), len(difference)
    variance = (100 * cluster_stderr(difference, weight)) ** 2
    return Estimate(points, float(np.sqrt(variance + _imagined(clusters))), max(clusters - 1, 1), variance, clusters)


def mean_of(parts: Sequence[Estimate]) -> Estimate:
    """The unweighted mean of independent estimates; degrees of freedom after Satterthwaite.

    The imagined clusters enter once, for the mean, not once for every part.
    """
    squares: NDArray[np.float64] = np.array([part.stderr**2 for part in parts])
    df = float(squares.sum() ** 2 / (squares**2 / np.array([part.df for part in parts])).sum())
    variance = sum(part.variance for part in parts) / len(parts) ** 2
    clusters = sum(part.clusters for part in parts)
    points = float(np.mean([part.points for part in parts]))
    return Estimate(points, float(np.sqrt(variance + _imagined(clusters))), df, variance, clusters)


def _imagined(clusters: int) -> float:
    """Variance in points squared of a cluster won and one lost outright, of the size of the others."""
    return 2 * (100 / (clusters + 2)) ** 2
