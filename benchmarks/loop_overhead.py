"""What the harness costs on top of the model: `python benchmarks/loop_overhead.py [MODEL] [OUT.md]`

Paired in one process: the whole of `harness.evaluate` (data, requests, store, scoring, tables) and a bare loop of
batched `model.generate` over the same requests at its best batch size, in turn, from the same loaded weights. Then
the loop alone, with a model that answers at once.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

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
ROUNDS = 5
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


def harness_seconds(model, tasks):
    """Seconds of one whole evaluation into a fresh store."""
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        start = time.perf_counter()
        Evaluator(store).evaluate(model, tasks)
        return time.perf_counter() - start


def main(spec="embedded/large", out="benchmarks/results/loop_overhead.md"):
    """Measure and write the table."""
    torch.set_num_threads(1)
    folder = resolve(spec)
    module, processor = load_module(folder, "cpu", "float32", "auto"), load_processor(folder)
    model = HFModel(module, processor, name=spec)
    requests = []
    for name in TASKS:
        task = registry.task(name)
        requests += [task.rules["official"].request(sample) for sample in open_dataset(task)]
    longest = max(r.generation.max_new_tokens for r in requests)
    plain = [replace(r, generation=replace(r.generation, max_new_tokens=longest)) for r in requests]
    rows = min(BATCH_SIZES, key=lambda size: _timed(lambda: list(bare_loop(module, processor, plain, size))))
    pairs = []
    for _ in range(ROUNDS):
        ours = harness_seconds(model, TASKS)
        bare = _timed(lambda: list(bare_loop(module, processor, plain, rows)))
        pairs.append((ours, bare))
    alone = statistics.median(harness_seconds(Instant(), TASKS) for _ in range(ROUNDS))
    ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / o for o, b in pairs)
    n = len(requests)
    text = f"""# Overhead of the loop

`python benchmarks/loop_overhead.py`: {spec}, {n} mini items of {len(TASKS)} tasks, {ROUNDS} paired rounds, one thread,
CPU; medians. The bare loop is batched `model.generate` at the fastest of the batch sizes {BATCH_SIZES} (here {rows}).

| | seconds | items/s |
|---|---:|---:|
| bare loop | {bare:.2f} | {n / bare:.0f} |
| `harness.evaluate` | {ours:.2f} | {n / ours:.0f} |

Speed of the harness over the bare loop, median of the pairs: **{ratio:.2f}** (target: at least 0.9).
Loop alone, with a model that answers at once: **{1000 * alone / n:.3f} ms an item** (target: under 0.3).
"""
    Path(out).write_text(text)
    print(text)


def _timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
