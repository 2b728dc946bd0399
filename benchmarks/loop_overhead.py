"""What the harness costs on top of the model: `python benchmarks/loop_overhead.py [OUT.md]`

Paired in one process, from the same loaded weights: the whole of `harness.evaluate` (data, requests, store, scoring),
its model phase alone, and a bare loop of batched `model.generate` over the same requests at its best batch size. Then
the loop alone, with a model that answers at once. On a busy machine read processor seconds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from bare_loop import bare_loop

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
from conditions import BESIDE
from inputs import inputs

from harness import registry
from harness.api import Model, Request, Response
from harness.data import open_dataset
from harness.evaluation import Evaluator
from harness.models.hf import HFModel
from harness.models.load import load_module, load_processor, resolve
from harness.store import Store

ROUNDS, BATCH_SIZES = 5, (8, 16, 32, 64, 128)


class Setting(NamedTuple):
    """A checkpoint and what it is asked."""

    title: str
    folder: Path
    dtype: str
    data: str | Path
    tasks: Sequence[str]
    protocol: str


class Instant:
    """Answers at once: what remains is the loop."""

    name = "instant"

    def fingerprint(self) -> str:
        """Any name will do."""
        return "instant"

    def generate(self, requests: Iterator[Request]) -> Iterator[tuple[int, Response]]:
        """One letter, forever."""
        for index, _ in enumerate(requests):
            yield index, Response("A", token_ids=(1,))


class Spent(NamedTuple):
    """Seconds of this process, all threads together, and of the clock on the wall."""

    cpu: float
    wall: float


def spent(work: Callable[[], Any]) -> Spent:
    """What a piece of work costs."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Spent(time.process_time() - cpu, time.perf_counter() - wall)


def evaluated(model: Model, asked: Setting) -> Spent:
    """One whole evaluation into a fresh store."""
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        evaluator = Evaluator(store, data=asked.data, protocol=asked.protocol)
        return spent(lambda: evaluator.evaluate(model, asked.tasks))


def measure(asked: Setting) -> list[str]:
    """The rows of a setting."""
    module, processor = load_module(asked.folder, "cpu", asked.dtype, "auto"), load_processor(asked.folder)
    requests: list[Request] = []
    for name in asked.tasks:
        task = registry.task(name)
        rules = registry.rules(task, asked.protocol)
        requests += [rules.request(sample) for sample in open_dataset(task, asked.data)]
    longest = max(r.generation.max_new_tokens for r in requests)
    plain = [replace(r, generation=replace(r.generation, max_new_tokens=longest)) for r in requests]

    def ours() -> HFModel:  # a new one each time: nothing that was preprocessed is reused
        return HFModel(module, processor, name=asked.title)

    def bare(rows: int) -> Spent:
        return spent(lambda: list(bare_loop(module, processor, plain, rows)))

    best = {size: bare(size).cpu for size in BATCH_SIZES}
    rows = min(best, key=best.__getitem__)
    sides: dict[str, list[Spent]] = {}
    for _ in range(ROUNDS):
        sides.setdefault(f"bare loop, batches of {rows}", []).append(bare(rows))
        sides.setdefault("model phase", []).append(spent(lambda: list(ours().generate(iter(requests)))))
        sides.setdefault("`harness.evaluate`", []).append(evaluated(ours(), asked))
        sides.setdefault("its loop, instant answers", []).append(evaluated(Instant(), asked))
    yardstick = next(iter(sides.values()))
    lines = []
    for name, found in sides.items():
        cpu, wall = (median(side) for side in zip(*found, strict=True))
        ratio = median(theirs.cpu / own.cpu for theirs, own in zip(yardstick, found, strict=True))
        shown = "" if "instant" in name else f"**{ratio:.2f}**"
        each = f"{1000 * cpu / len(requests):.2f}"
        lines.append(f"| {asked.title}, {len(requests):,} | {name} | {cpu:.2f} | {wall:.2f} | {each} | {shown} |")
    print(*lines, sep="\n", flush=True)
    return lines


def main(out: str = "benchmarks/results/loop_overhead.md") -> None:
    """Measure and write the table."""
    torch.set_num_threads(1)
    real = inputs(400)
    tasks = ("chartqa", "seedbench", "mmstar", "ai2d", "realworldqa")
    settings = (
        Setting("embedded/large, mini items", resolve("embedded/large"), "float32", "mini", tasks, "official"),
        Setting(f"Qwen2.5-VL of two layers, {real.origin.split()[0]} items", real.checkpoint, "bfloat16", real.folder,
                ("chartqa",), "lmms-eval@0.7.2"),
    )  # fmt: skip
    lines = [
        "# Overhead of the loop",
        "",
        f"`python benchmarks/loop_overhead.py`: {ROUNDS} paired rounds on one core, medians. The bare loop is batched",
        f"`model.generate` over prompts sorted by length, at the fastest of the batch sizes {BATCH_SIZES}; speed is",
        "the median over the rounds of its processor seconds over ours (targets: 0.95 of the model phase, 0.9 of all,",
        f"0.3 ms an item of the loop itself). Measured {BESIDE}.",
        "",
        "| model, items | side | processor, s | wall, s | ms an item | speed |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for setting in settings:
        lines += measure(setting)
    Path(out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
