"""Do the comparison's intervals cover, and how often does it cry wolf? `python benchmarks/compare_validity.py OUT.md`

Simulated benchmarks: clusters of 1 to 6 items share an image; an item has a difficulty, partly its cluster's. Two
methods answer with correlated chances: each has an own effect on every cluster, and each of its training seeds an own
ability (common to all tasks, and one on the task) and an own effect on every cluster. Under the null both methods have
the same ability. Coverage is of the true difference of the populations of clusters and of seeds.
"""

import sys
from pathlib import Path

import numpy as np

from harness.report.csv_file import write_text
from harness.stats.overall import mean_over_tasks, mean_over_tasks_and_seeds
from harness.stats.paired import Pairs, compare
from harness.stats.seeds import compare_seeds

WORLDS, RESAMPLES, GAIN = 4000, 999, 0.33  # GAIN in logits, about 6 points
CLUSTER, ITEM, METHOD, SEED_CLUSTER = 1.0, 1.0, 0.7, 0.5  # standard deviations in logits
MANY = (60, 60, 100, 100, 100, 100, 100, 100, 150, 150, 200, 200, 200, 250, 250, 400, 400)


class World:
    """Right and wrong answers of two methods on some tasks; `spread` is that of training seeds, in logits."""

    def __init__(self, rng, sizes, largest=6, seeds=1, spread=0.0, fixed=False):
        self.rng, self.sizes, self.largest, self.seeds = rng, sizes, largest, seeds
        self.spread, self.fixed = np.array([[[spread]], [[0.0 if fixed else spread]]]), fixed

    def draw(self, gain):
        """For each task the Pairs of each seed; `gain` is the first method's advantage in logits."""
        both = self.rng.normal(0, 1, (2, self.seeds, 1)) * self.spread  # [method, seed, 1]
        return [self._task(items, gain, both) for items in self.sizes]

    def _task(self, items, gain, ability):
        sizes = self.rng.integers(1, self.largest + 1, items)
        cluster = np.repeat(np.arange(items), sizes)[:items]
        count = cluster[-1] + 1
        ease = 0.3 + self.rng.normal(0, CLUSTER, count)[cluster] + self.rng.normal(0, ITEM, items)
        own = self.rng.normal(0, METHOD, (2, 1, count))[:, :, cluster]
        of_task = self.rng.normal(0, 0.5, (2, self.seeds, 1)) * self.spread
        of_seed = self.rng.normal(0, SEED_CLUSTER, (2, self.seeds, count))[:, :, cluster] * (self.spread > 0)
        logit = ease + own + ability + of_task + of_seed
        logit[0] += gain
        scores = (self.rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(float)
        if self.fixed:  # the other side is one model: the same answers beside every seed
            scores[1] = scores[1, 0]
        weight = np.full(items, 1 / items)
        return [Pairs(a, b, weight, cluster) for a, b in zip(*scores, strict=True)]

    def truth(self, gain):
        """The true difference in points: chances averaged over everything that is drawn."""
        quantiles = np.random.default_rng(99).normal(0, 1, 4_000_000)
        means = []
        for shift, spread in zip((gain, 0.0), self.spread.ravel(), strict=True):
            seed = 1.25 * spread**2 + (SEED_CLUSTER**2 if spread else 0)
            deviation = np.sqrt(CLUSTER**2 + ITEM**2 + METHOD**2 + seed)
            means.append((1 / (1 + np.exp(-(0.3 + shift + deviation * quantiles)))).mean())
        return 100 * (means[0] - means[1])


def overall(tasks, world, rng):
    """What `harness compare` says of the mean, or of the only task."""
    equal = [1 / len(tasks)] * len(tasks)
    if world.seeds > 1:
        parts = [compare_seeds(pairs) for pairs in tasks]
        return parts[0] if len(parts) == 1 else mean_over_tasks_and_seeds(parts, equal)
    parts = [compare(pairs[0], resamples=RESAMPLES, seed=rng.integers(1 << 62)) for pairs in tasks]
    return parts[0] if len(parts) == 1 else mean_over_tasks(parts, equal)


def row(title, number, sizes, **settings):
    """A line of the table: share of intervals that cover, of false alarms, and of true differences found."""
    rng = np.random.default_rng([20260101, number])
    world = World(rng, sizes, **settings)
    null, expected = world.truth(0.0), world.truth(GAIN)
    counts = np.zeros(4)
    for _ in range(WORLDS):
        same, real = (overall(world.draw(gain), world, rng) for gain in (0.0, GAIN))
        counts += (same.low <= null <= same.high, real.low <= expected <= real.high, same.p <= 0.05, real.p <= 0.05)
    rates = 100 * counts / WORLDS
    shown = f"{rates[2]:.1f} %" if abs(null) < 0.01 else "–"  # seeds of one side only shift its mean a little
    line = f"| {title} | {rates[0]:.1f} % | {rates[1]:.1f} % | {shown} | {rates[3]:.0f} % |"
    print(line, flush=True)
    return line


ROWS = [
    ("one task, 100 items in clusters", (100,), {}),
    ("one task, 200 items, no clusters", (200,), {"largest": 1}),
    ("one task, 200 items in clusters", (200,), {}),
    ("one task, 1,000 items in clusters", (1000,), {}),
    ("mean of 17 tasks of 16 items", (16,) * 17, {"largest": 4}),
    ("mean of 17 tasks of 60 to 400 items", MANY, {}),
    ("mean of 2 tasks of 200 items", (200, 200), {}),
    ("one task, 200 items, 3 seeds", (200,), {"seeds": 3, "spread": 0.1}),
    ("one task, 200 items, 5 seeds", (200,), {"seeds": 5, "spread": 0.1}),
    ("one task, 200 items, 5 seeds that differ much", (200,), {"seeds": 5, "spread": 0.3}),
    ("mean of 17 tasks, 3 seeds", MANY, {"seeds": 3, "spread": 0.1}),
    ("mean of 17 tasks, 5 seeds that hardly differ", MANY, {"seeds": 5, "spread": 0.02}),
    ("mean of 17 tasks, 5 seeds", MANY, {"seeds": 5, "spread": 0.1}),
    ("mean of 17 tasks, 5 seeds that differ much", MANY, {"seeds": 5, "spread": 0.3}),
    ("mean of 17 tasks, 5 seeds against one model", MANY, {"seeds": 5, "spread": 0.1, "fixed": True}),
]


def main(out):
    """Write the table."""
    head = [
        "# Validity of the comparison", "",
        f"`python benchmarks/compare_validity.py`: {WORLDS:,} worlds a row (standard error of a 5 % rate: 0.34),",
        f"{RESAMPLES} bootstrap samples and permutations. Power: a true difference of about 6 points is found.",
        "Training seeds differ by about 2 points in ability, hardly 0.4, much 6.", "",
        "| what is compared | coverage of 95 % interval, no difference | coverage, 6 points |"
        " false alarms at 5 % | power |",
        "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    lines = [row(title, number, sizes, **settings) for number, (title, sizes, settings) in enumerate(ROWS)]
    write_text(Path(out), "\n".join([*head, *lines]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results/compare_validity.md")
