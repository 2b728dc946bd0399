"""Random worlds of a paired comparison: clusters drawn again with replacement, and the two models swapped at random.

Both work on cluster sums: D [C] (weighted difference of a cluster's units) and W [C] (their weight). Where few values
are distinct, as with right/wrong answers, how often each is drawn is drawn at once; else each cluster is drawn. The
distribution is the same, so the choice is one of speed only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_CHUNK_CELLS = 4_000_000  # drawn numbers in memory at a time
# Nanoseconds of one core, measured: a count (binomial or multinomial), a drawn cluster, a random sign.
_COUNT, _CLUSTER, _SIGN = 80, 8, 1


def redrawn(rows: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Sums over clusters drawn with replacement, [resamples, m], of what `rows` [C, m] holds of each cluster."""
    clusters = len(rows)
    distinct, times = np.unique(rows, axis=0, return_counts=True)
    few = len(distinct) * _COUNT <= clusters * _CLUSTER
    if few:
        rows = distinct
    sums = np.empty((resamples, rows.shape[1]))
    chunk = max(1, _CHUNK_CELLS // len(rows))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn = rng.multinomial(clusters, times / clusters, size) if few else _counts(clusters, size, rng)
        sums[start : start + size] = drawn @ rows
    return sums


def replicates(difference: Array, weight: Array, resamples: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Ratios sum(D) / sum(W) of clusters drawn with replacement, and their standard errors, each [resamples]."""
    clusters, d, w = len(difference), difference, weight
    sd, sw, sdd, sdw, sww = redrawn(np.column_stack([d, w, d * d, d * w, w * w]), resamples, rng).T
    ratios = sd / sw
    squares = np.maximum(sdd - 2 * ratios * sdw + ratios**2 * sww, 0)
    # Rounding leaves dust where all drawn clusters agree.
    squares[squares < 1e-18 * sdd.max(initial=0)] = 0
    return ratios, np.sqrt(clusters / max(clusters - 1, 1) * squares) / sw


def _counts(clusters: int, worlds: int, rng: np.random.Generator) -> Array:
    """How often each of [clusters] is among as many drawn with replacement, [worlds, clusters]."""
    kind = np.uint16 if clusters <= 1 << 16 else np.uint32
    drawn = rng.integers(0, clusters, (worlds, clusters), dtype=kind).astype(np.int64)
    drawn += clusters * np.arange(worlds)[:, None]
    return np.bincount(drawn.ravel(), minlength=worlds * clusters).reshape(worlds, clusters).astype(np.float64)


def swapped(difference: Array, resamples: int, rng: np.random.Generator) -> Array:
    """sum(D) where the two models are swapped within whole clusters at random, [resamples]."""
    own = difference[difference != 0]
    size, times = np.unique(np.abs(own), return_counts=True)
    few = len(size) * _COUNT <= len(own) * _SIGN
    if not few:
        size = own
    sums = np.empty(resamples)
    chunk = max(1, _CHUNK_CELLS // max(len(size), 1))
    for start in range(0, resamples, chunk):
        worlds = min(chunk, resamples - start)
        if few:
            signs = 2 * rng.binomial(times, 0.5, (worlds, len(size))) - times
            sums[start : start + worlds] = signs @ size
        else:
            bits = np.unpackbits(np.frombuffer(rng.bytes((worlds * len(size) + 7) // 8), np.uint8))
            heads = bits[: worlds * len(size)].reshape(worlds, len(size)).astype(np.float64)
            sums[start : start + worlds] = 2 * (heads @ size) - size.sum()
    return sums
