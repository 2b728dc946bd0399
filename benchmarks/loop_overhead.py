"""What the harness costs on top of the model: `python benchmarks/loop_overhead.py [MODEL] [OUT.md]`

Paired in one process: the whole of `harness.evaluate` (data, requests, store, scoring, tables) and a bare loop of
batched `model.generate` over the same requests at its best batch size, in turn, from the same loaded weights. Then
the loop alone, with a model that answers at once. Both clocks are kept: on a busy machine read processor seconds.
"""

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from bare_loop import bare_loop

from harness import registry
from harness.api import Response
from harness.data import open_dataset
from harness.evaluation import Evaluator
from harness.models.hf import HFModel
from harness.models.load import load_module, load_processor, resolve
from harness.store import Store

TASKS = ("chartqa", "seedbench", "mmstar", "ai2d", "realworldqa")
ROUNDS = 3
BATCH_SIZES = (8, 16, 32, 64)


class Instant:
    """Answers at once: what remains is the loop."""

    name = "instant"

    def fingerprint(self):
        """Any name will do."""
        return "instant"

    def generate(self, requests):
        """One letter, forever."""
        for index, _ in enumerate(requests):
            yield index, Response("A", token_ids=(1,))


class Spent(NamedTuple):
    """Seconds of this process, all threads together, and of the clock on the wall."""

    cpu: float
    wall: float


def spent(work):
    """What a piece of work costs."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Spent(time.process_time() - cpu, time.perf_counter() - wall)


def evaluated(model, tasks):
    """One whole evaluation into a fresh store."""
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        return spent(lambda: Evaluator(store).evaluate(model, tasks))


def main(spec="embedded/large", out="benchmarks/results/loop_overhead.md"):
    """Measure and write the table."""
    torch.set_num_threads(1)
    folder = resolve(spec)
    module, processor = load_module(folder, "cpu", "float32", "auto"), load_processor(folder)
    requests = []
    for name in TASKS:
        task = registry.task(name)
        requests += [task.rules["official"].request(sample) for sample in open_dataset(task)]
    n = len(requests)
    longest = max(r.generation.max_new_tokens for r in requests)
    plain = [replace(r, generation=replace(r.generation, max_new_tokens=longest)) for r in requests]

    def bare(rows, some=plain):
        return spent(lambda: list(bare_loop(module, processor, some, rows)))

    probe = plain[:: max(1, n // 256)]
    rows = min(BATCH_SIZES, key=lambda size: bare(size, probe).cpu)
    # A fresh HFModel a round: nothing that was preprocessed is reused.
    pairs = [(evaluated(HFModel(module, processor, name=spec), TASKS), bare(rows)) for _ in range(ROUNDS)]
    alone = [evaluated(Instant(), TASKS) for _ in range(ROUNDS)]
    ours, theirs, instant = (Spent(*map(median, zip(*s, strict=True))) for s in (*zip(*pairs, strict=True), alone))
    ratio = Spent(*(median(b[k] / o[k] for o, b in pairs) for k in (0, 1)))
    text = f"""# Overhead of the loop

`python benchmarks/loop_overhead.py`: {spec}, {n} mini items of {len(TASKS)} tasks, {ROUNDS} paired rounds, one thread,
CPU; medians. The bare loop is batched `model.generate` at the fastest of the batch sizes {BATCH_SIZES} (here {rows}).
Other work shared the machine (load average {os.getloadavg()[0]:.0f}): read processor seconds.

| | processor, s | wall, s | items / processor second |
|---|---:|---:|---:|
| bare loop | {theirs.cpu:.2f} | {theirs.wall:.2f} | {n / theirs.cpu:.0f} |
| `harness.evaluate` | {ours.cpu:.2f} | {ours.wall:.2f} | {n / ours.cpu:.0f} |

Speed of the harness over the bare loop, median of the pairs: **{ratio.cpu:.2f}** by processor seconds, {ratio.wall:.2f}
by the wall (target: at least 0.9).
Loop alone, with a model that answers at once: **{1000 * instant.cpu / n:.3f} ms an item** of processor time,
{1000 * instant.wall / n:.3f} ms of the wall (target: under 0.3).
"""
    Path(out).write_text(text)
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
