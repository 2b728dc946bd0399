"""Do the comparison's intervals cover, and how often does it cry wolf? `python benchmarks/compare_validity.py OUT.md`

Simulated benchmarks: clusters of 1 to 6 items share an image; each item has a difficulty, partly its cluster's; two
models answer it with correlated chances. Under the null both have the same ability. Coverage is of the true
difference of the population that the clusters are drawn from.
"""

import sys
from pathlib import Path

import numpy as np

from harness.stats.paired import Pairs, compare
from harness.stats.seeds import compare_seeds

WORLDS = 4000
SETTINGS = [("200 items, no clusters", 200, 1), ("200 items in clusters", 200, 6), ("1,000 items in clusters", 1000, 6)]


def draw(rng, items, largest, gain):
    """One benchmark: 0/1 scores of two models on clustered items; `gain` is the second's advantage in logits."""
    sizes = rng.integers(1, largest + 1, items)
    cluster = np.repeat(np.arange(items), sizes)[:items]
    cluster = np.unique(cluster, return_inverse=True)[1]
    ease = rng.normal(0.3, 1.0, cluster.max() + 1)[cluster] + rng.normal(0, 1.0, items)
    own = rng.normal(0, 0.7, (2, cluster.max() + 1))[:, cluster]
    chance = 1 / (1 + np.exp(-(ease + own + np.array([[0.0], [gain]]))))
    scores = (rng.random((2, items)) < chance).astype(float)
    return Pairs(scores[1], scores[0], np.full(items, 1 / items), cluster)


def truth(gain, largest):
    """The true difference in points, from two million items."""
    rng = np.random.default_rng(99)
    big = draw(rng, 2_000_000, largest, gain)
    return 100 * (big.a - big.b).mean()


def items_table(rng):
    """Coverage and false alarms over items."""
    lines = [
        "| benchmark | coverage of 95 % interval | false alarms at 5 % (sign-flip) | power at 6 points |",
        "|---|---|---|---|",
    ]
    for title, items, largest in SETTINGS:
        covered = alarms = found = 0
        expected = truth(0.33, largest)
        for world in range(WORLDS):
            null = compare(draw(rng, items, largest, 0.0), resamples=999, seed=world)
            alarms += null.p <= 0.05
            real = compare(draw(rng, items, largest, 0.33), resamples=999, seed=world)
            covered += real.low <= expected <= real.high
            found += real.p <= 0.05
        rates = [100 * n / WORLDS for n in (covered, alarms, found)]
        lines.append(f"| {title} | {rates[0]:.1f} % | {rates[1]:.1f} % | {rates[2]:.0f} % |")
    return lines


def seeds_table(rng):
    """Coverage and false alarms when training seeds differ, items being fixed for both."""
    lines = [
        "| seeds | spread of seeds (points) | coverage of 95 % interval | false alarms at 5 % |",
        "|---|---|---|---|",
    ]
    for seeds, spread in ((3, 1.0), (5, 1.0), (5, 3.0), (10, 2.0)):
        covered = alarms = 0
        for _ in range(WORLDS):
            item = rng.normal(0, 0.4, 400)
            noise = rng.normal(0, 0.3, (seeds, 400))
            seed = rng.normal(0, spread / 100, (seeds, 1))
            for gain in (0.0, 0.03):
                runs = [
                    Pairs(gain + item + s + e, np.zeros(400), np.full(400, 1 / 400), np.arange(400))
                    for s, e in zip(seed, noise, strict=True)
                ]
                result = compare_seeds(runs)
                if gain:
                    covered += result.low <= 100 * gain <= result.high
                else:
                    alarms += result.p <= 0.05
        lines.append(f"| {seeds} | {spread} | {100 * covered / WORLDS:.1f} % | {100 * alarms / WORLDS:.1f} % |")
    return lines


def main(out):
    """Write the table."""
    rng = np.random.default_rng(20260101)
    head = [
        "# Validity of the comparison",
        "",
        f"`python benchmarks/compare_validity.py`, {WORLDS:,} worlds a row (standard error of a 5 % rate: 0.3).",
        "",
    ]
    text = [*head, *items_table(rng), "", *seeds_table(rng), ""]
    Path(out).write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results/compare_validity.md")
