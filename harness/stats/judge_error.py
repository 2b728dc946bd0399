"""What a judge's errors do to a score: sensitivity, specificity, corrected scores, and differences within the error.

A judged item is right or wrong in truth and right or wrong by the judge. Sources: Rogan and Gladen 1978 (the corrected
share); Lang and Reiczigel 2014 (its interval when sensitivity and specificity are estimated); Angelopoulos et al. 2023,
Prediction-Powered Inference, and its power tuning (PPI++, 2023). Shares and scores are in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge on items of known truth: it found `found` of `right` right ones and `cleared` of `wrong` wrong ones."""

    right: int
    found: int
    wrong: int
    cleared: int

    def sensitivity(self, level: float = LEVEL) -> Estimate:
        """Share of the right items that the judge calls right, with Wilson's interval."""
        return _share(self.found, self.right, level)

    def specificity(self, level: float = LEVEL) -> Estimate:
        """Share of the wrong items that the judge calls wrong, with Wilson's interval."""
        return _share(self.cleared, self.wrong, level)

    def youden(self) -> float:
        """Sensitivity + specificity - 1: 1 for a perfect judge, 0 for one that does not look."""
        return self.sensitivity().value + self.specificity().value - 1

    def smoothed(self) -> tuple[float, float, float, float]:
        """Sensitivity and specificity with one success and one failure added, and their variances."""
        sensitivity, specificity = (self.found + 1) / (self.right + 2), (self.cleared + 1) / (self.wrong + 2)
        return (
            sensitivity, specificity, sensitivity * (1 - sensitivity) / (self.right + 2),
            specificity * (1 - specificity) / (self.wrong + 2),
        )  # fmt: skip


def _share(hits: int, n: int, level: float) -> Estimate:
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0)
    low, high = proportion_confint(hits, n, alpha=1 - level, method="wilson")
    return Estimate(hits / n, float(low), float(high))


def calibrate(truth: Sequence[bool], judged: Sequence[bool]) -> Calibration:
    """Count a judge's verdicts against the truth."""
    pairs = list(zip(truth, judged, strict=True))
    return Calibration(
        right=sum(t for t, _ in pairs), found=sum(t and j for t, j in pairs),
        wrong=sum(not t for t, _ in pairs), cleared=sum(not t and not j for t, j in pairs),
    )  # fmt: skip


def rogan_gladen(positives: int, n: int, calibration: Calibration, level: float = LEVEL) -> Estimate:
    """The share that is truly right when a judge calls `positives` of `n` right: (p + sp - 1) / (se + sp - 1).

    The interval is Lang and Reiczigel's, cut to [0, 1]. A judge that tells nothing (se + sp <= 1) leaves [0, 1].
    """
    z = float(norm.ppf(0.5 + level / 2))
    if n == 0 or not calibration.youden() > 0:
        return Estimate(math.nan, 0.0, 1.0)
    plain = (positives / n + calibration.specificity().value - 1) / calibration.youden()
    sensitivity, specificity, var_se, var_sp = calibration.smoothed()
    gain = sensitivity + specificity - 1
    if gain <= 0:
        return Estimate(_unit(plain), 0.0, 1.0)
    count = n + z * z
    observed = (positives + z * z / 2) / count
    share = (observed + specificity - 1) / gain
    shift = 2 * z * z * (share * var_se - (1 - share) * var_sp)
    variance = observed * (1 - observed) / count + share**2 * var_se + (1 - share) ** 2 * var_sp
    half = z * math.sqrt(variance) / gain
    return Estimate(_unit(plain), _unit(share + shift - half), _unit(share + shift + half))


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))


def prediction_powered(
    labels: ArrayLike, judged: ArrayLike, scores: ArrayLike, *, tuned: bool, level: float = LEVEL
) -> Estimate:
    """The mean truth of the items that a judge gave `scores`, corrected by `judged` and `labels` of labelled items.

    mean(labels) + w (mean(scores) - mean(judged)). `tuned` chooses the weight w that makes the variance least, which
    asks that labelled and other items are drawn alike; otherwise w = 1: the judge's mean error carries over.
    """
    y, f, all_f = (np.asarray(values, dtype=float) for values in (labels, judged, scores))
    n, total = len(y), len(all_f)
    if n < 2 or total < 2:
        return Estimate(math.nan, -math.inf, math.inf)
    weight = _weight(y, f, all_f) if tuned else 1.0
    value = float(y.mean() + weight * (all_f.mean() - f.mean()))
    variance = weight**2 * all_f.var(ddof=1) / total + (y - weight * f).var(ddof=1) / n
    half = float(norm.ppf(0.5 + level / 2)) * math.sqrt(variance)
    return Estimate(value, value - half, value + half)


def _weight(y: NDArray[np.float64], f: NDArray[np.float64], all_f: NDArray[np.float64]) -> float:
    """PPI++'s power tuning for a mean, kept within [0, 1]."""
    spread = float(np.concatenate([f, all_f]).var(ddof=1))
    covariance = float(np.cov(y, f, ddof=1)[0, 1])
    return _unit(covariance / ((1 + len(y) / len(all_f)) * spread)) if spread else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same judged items: the difference as judged, and corrected for the judge's errors."""

    judged: Estimate
    corrected: Estimate

    @property
    def verdict(self) -> str:
        """`decided`, `within the judge's error`, or `no difference found` (even as judged)."""
        if not self.judged.excludes_zero:
            return "no difference found"
        return "decided" if self.corrected.excludes_zero else "within the judge's error"


def compare(
    first: ArrayLike, second: ArrayLike, calibrations: tuple[Calibration, Calibration], level: float = LEVEL
) -> Comparison:
    """Judged-right (0 or 1) of two models on the same items, in order, and the judge's calibration for each.

    The same calibration object twice means one calibration for both: its error moves both shares together. Two are
    independent: they also correct for a judge that favours one model. The interval is by the delta method.
    """
    z = float(norm.ppf(0.5 + level / 2))
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    plain = _normal(float((a - b).mean()), float((a - b).var(ddof=1)) / len(a), z)
    (se_a, sp_a, var_se_a, var_sp_a), (se_b, sp_b, var_se_b, var_sp_b) = (c.smoothed() for c in calibrations)
    gain_a, gain_b = se_a + sp_a - 1, se_b + sp_b - 1
    if gain_a <= 0 or gain_b <= 0:
        return Comparison(plain, Estimate(math.nan, -1.0, 1.0))
    share_a, share_b = (a.mean() + sp_a - 1) / gain_a, (b.mean() + sp_b - 1) / gain_b
    variance = (a / gain_a - b / gain_b).var(ddof=1) / len(a)
    if calibrations[0] is calibrations[1]:
        variance += (share_a - share_b) ** 2 * (var_se_a + var_sp_a) / gain_a**2
    else:
        variance += (share_a**2 * var_se_a + (1 - share_a) ** 2 * var_sp_a) / gain_a**2
        variance += (share_b**2 * var_se_b + (1 - share_b) ** 2 * var_sp_b) / gain_b**2
    return Comparison(plain, _normal(float(share_a - share_b), float(variance), z))


def _normal(value: float, variance: float, z: float) -> Estimate:
    return Estimate(value, value - z * math.sqrt(variance), value + z * math.sqrt(variance))
