"""How long does `harness compare` take on two large runs? `OMP_NUM_THREADS=1 python benchmarks/compare_speed.py OUT.md`

Stored runs of 30,000 items in 13 tasks, compared by the command itself, with start and reading. In the last row one run
holds two methods of five training seeds each, the untrained student and the teacher.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness.api import Metrics, Unit
from harness.report.csv_file import write_text
from harness.store import Cell, Result, Store

ITEMS, TASKS, RESAMPLES, ROUNDS = 30_000, 13, 10_000, 5
KINDS = {
    "right or wrong, clusters of 1 to 4": lambda rng, n: (rng.random(n) < 0.7).astype(float),
    "graded in tenths, clusters of 1 to 4": lambda rng, n: rng.integers(0, 11, n) / 10,
    "real numbers, no clusters": lambda rng, n: rng.random(n),
}
SEEDS = "real numbers, no clusters, 5 + 5 training seeds, gap recovered"


def write(store, model, rng, kind, stage=None):
    """A model's results on all tasks."""
    per = ITEMS // TASKS
    for number in range(TASKS):
        sizes = np.random.default_rng(number).integers(1, 5, per)  # the same clusters for every model
        clusters = np.repeat(np.arange(per), sizes)[:per] if "of 1 to 4" in kind else np.arange(per)
        scores = KINDS.get(kind, KINDS["real numbers, no clusters"])(rng, per)
        units = tuple(
            Unit(str(i), f"c{c}", float(s), 1 / per) for i, (c, s) in enumerate(zip(clusters, scores, strict=True))
        )
        metrics = Metrics(100 * float(scores.mean()), 1.0, per, {}, units)
        result = Result(Cell(model, f"task{number}", "official", "rule"), metrics, metrics.score, {}, per, 0, model,
                        "simulated", f"data{number}", "code", stage=stage or {})  # fmt: skip
        store.put_result(result, [], units)


def prepared(folder, kind):
    """Write what is compared; returns the words of the command."""
    if kind != SEEDS:
        for number, model in enumerate("ab"):
            with Store(folder / model) as store:
                write(store, model, np.random.default_rng(number), kind)
        return [folder / "a", folder / "b", "--a", "a", "--b", "b"]
    with Store(folder / "run") as store:
        for number, model in enumerate(("base", "teacher")):
            write(store, model, np.random.default_rng(number), kind)
        for seed in range(5):
            for place, method in enumerate("ab"):
                stage = {"method": method, "seed": seed, "index": 0}
                write(store, f"{method}/s{seed}/0", np.random.default_rng([place, seed]), kind, stage)
    return [folder / "run", "--a", "a", "--b", "b", "--base", "base", "--teacher", "teacher"]


def measure(kind):
    """Median wall-clock and processor seconds of the command."""
    walls, processors = [], []
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "harness", "compare", *prepared(Path(folder), kind)]
        for _ in range(ROUNDS):
            before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run([*words, "--resamples", str(RESAMPLES)], check=True, stdout=subprocess.DEVNULL)
            walls.append(time.perf_counter() - wall)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            processors.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(walls), max(walls), statistics.median(processors)


def main(out):
    """Write the table."""
    lines = [
        "# Time of a comparison", "",
        f"`OMP_NUM_THREADS=1 python benchmarks/compare_speed.py`: `harness compare` on stored runs of {ITEMS:,} items",
        f"in {TASKS} tasks, {RESAMPLES:,} bootstrap samples and as many permutations a task, pinned to one core of",
        f"a machine that did nothing else; start of the command and reading included. Median of {ROUNDS}.", "",
        "| scores | seconds | slowest | processor seconds |",
        "|---|---:|---:|---:|",
    ]  # fmt: skip
    for kind in [*KINDS, SEEDS]:
        wall, slowest, processor = measure(kind)
        lines.append(f"| {kind} | {wall:.1f} | {slowest:.1f} | {processor:.1f} |")
        print(lines[-1], flush=True)
    write_text(Path(out), "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results/compare_speed.md")
