"""What Ray costs and brings on one machine: `python benchmarks/ray_overhead.py [MODEL] [OUT.md]`

Five tasks of mini items, from requests to the stored and scored table: backend hf in one process, one Ray worker, and
two. In turn, several rounds, models loaded before the clock starts; each process has one thread. Beside the wall-clock
the processor's seconds of this process and all under it (workers, Ray itself). Run it with nothing else beside it.
"""

import os
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

from harness.evaluation import evaluate
from harness.models.hf import open_model as open_hf
from harness.models.ray import open_model as open_ray

TASKS = ("chartqa", "mmstar", "mmvet", "mmmu", "realworldqa")
ROUNDS = 3


def processor_seconds():
    """Spent so far by this process and everything under it."""
    me = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in (me, *me.children(recursive=True)))


def measure(model):
    """(seconds, processor seconds, items) of one whole evaluation into a fresh store."""
    with tempfile.TemporaryDirectory() as folder:
        start, spent = time.perf_counter(), processor_seconds()
        run = evaluate(model, TASKS, out=folder)
        return time.perf_counter() - start, processor_seconds() - spent, len(run.items)


def main(spec="embedded/large", out="benchmarks/results/ray_overhead.md"):
    """Measure and write the table."""
    torch.set_num_threads(1)
    ready, opened = {}, {"hf, in this process": open_hf(spec)}
    for count in (1, 2):
        start = time.perf_counter()
        model = open_ray(spec, workers=count, num_cpus=0.5)
        model.wait()
        opened[f"ray, {count} worker{'s' * (count > 1)}"] = model
        ready[count] = time.perf_counter() - start
    measure(opened["hf, in this process"])  # the items are drawn and their prompts processed once
    found = {name: [] for name in opened}
    for _ in range(ROUNDS):
        for name, model in opened.items():
            found[name].append(measure(model))
            print(name, found[name][-1], flush=True)
    lines = []
    for name, rounds in found.items():
        wall, spent = (statistics.median(column) for column in list(zip(*rounds, strict=True))[:2])
        items = rounds[0][2]
        range_ = f"{min(r[0] for r in rounds):.1f} to {max(r[0] for r in rounds):.1f}"
        lines.append(
            f"| {name} | {wall:.1f} ({range_}) | {items / wall:.1f} | {spent:.1f} | {1000 * spent / items:.1f} |"
        )
    Path(out).write_text(f"""# Ray against one process, on one machine

`python benchmarks/ray_overhead.py {spec}`: {items:,} mini items of {len(TASKS)} tasks, medians of {ROUNDS} rounds in
turn (least and most in brackets), Ray {version("ray")}, one thread a process, {os.cpu_count()} cores, nothing else running. The
processor's seconds are those of all processes, Ray's own included. Prompts are processed once and then kept: in this
process before the clock starts, in a Ray worker in the first round, which is the slowest of each.

| | seconds | items/s | processor seconds | ms an item |
|---|---:|---:|---:|---:|
{chr(10).join(lines)}

Start of the cluster and one worker: {ready[1]:.0f} s; of two workers more: {ready[2]:.0f} s.
""")  # noqa: E501


if __name__ == "__main__":
    main(*sys.argv[1:])
