"""How long does a comparison of two large runs take? `OMP_NUM_THREADS=1 python benchmarks/compare_speed.py OUT.md`

Two stored runs of 30,000 items (13 tasks, clusters of 1 to 4 items), compared as `harness compare` does it, reading
included; processor seconds beside wall-clock seconds, since the machine may be busy.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness.api import Metrics, Unit
from harness.compare import compare_sides, read_sides
from harness.store import Cell, Result, Store

ITEMS, TASKS, RESAMPLES = 30_000, 13, 10_000


def write(folder, model, rng, kind):
    """A run whose units are right or wrong (`kind` 0/1) or graded in tenths."""
    per = ITEMS // TASKS
    with Store(folder) as store:
        for number in range(TASKS):
            clusters = np.repeat(np.arange(per), rng.integers(1, 5, per))[:per]
            scores = (rng.random(per) < 0.7).astype(float) if kind == "0/1" else rng.integers(0, 11, per) / 10
            units = tuple(
                Unit(str(i), f"c{c}", float(s), 1 / per) for i, (c, s) in enumerate(zip(clusters, scores, strict=True))
            )
            metrics = Metrics(100 * float(scores.mean()), 1.0, per, {}, units)
            result = Result(Cell(model, f"task{number}", "official", "rule"), metrics, metrics.score, {}, per, 0, model,
                            "simulated", f"data{number}", "code")  # fmt: skip
            store.put_result(result, [], units)


def measure(kind):
    """Wall-clock and processor seconds of reading and comparing."""
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for model in ("a", "b"):
            # The same seed for the clusters of both runs would give the same scores too: the clusters come first.
            rng = np.random.default_rng(0 if model == "a" else 1)
            runs.append(Path(folder) / model)
            write(runs[-1], model, rng, kind)
        wall, processor = time.perf_counter(), time.process_time()
        compare_sides(read_sides(runs), "a", "b", resamples=RESAMPLES)
        return time.perf_counter() - wall, time.process_time() - processor


def main(out):
    """Write the table."""
    lines = [
        "# Time of a comparison",
        "",
        f"`OMP_NUM_THREADS=1 python benchmarks/compare_speed.py`: two stored runs of {ITEMS:,} items in {TASKS} tasks,",
        f"{RESAMPLES:,} bootstrap samples and {RESAMPLES:,} permutations a task, one core, reading included.",
        "",
        "| scores | seconds | processor seconds |",
        "|---|---:|---:|",
    ]
    for kind in ("0/1", "graded in tenths"):
        wall, processor = measure(kind)
        lines.append(f"| {kind} | {wall:.1f} | {processor:.1f} |")
    Path(out).write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results/compare_speed.md")
