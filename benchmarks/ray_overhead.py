"""What Ray costs and brings on one machine: `python benchmarks/ray_overhead.py [MODEL] [OUT.md]`

Five tasks of mini items, from requests to the stored and scored table: backend hf in one process, one Ray worker, and
two. In turn, several rounds, models loaded before the clock starts; each process has one thread.
"""

import os
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import torch

from harness.evaluation import evaluate
from harness.models.hf import open_model as open_hf
from harness.models.ray import open_model as open_ray

TASKS = ("chartqa", "seedbench", "mmstar", "ai2d", "realworldqa")
ROUNDS = 3


def seconds(model):
    """(seconds, items) of one whole evaluation into a fresh store."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run = evaluate(model, TASKS, out=folder)
        return time.perf_counter() - start, len(run.items)


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
    seconds(opened["hf, in this process"])  # the items are drawn and their prompts processed once
    times = {name: [] for name in opened}
    for _ in range(ROUNDS):
        for name, model in opened.items():
            taken, items = seconds(model)
            times[name].append(taken)
            print(name, taken, flush=True)
    median = {name: statistics.median(found) for name, found in times.items()}
    base = median["hf, in this process"]
    lines = [
        f"| {name} | {median[name]:.1f} | {min(found):.1f} to {max(found):.1f} | {items / median[name]:.1f}"
        f" | {base / median[name]:.2f} |"
        for name, found in times.items()
    ]
    Path(out).write_text(f"""# Ray against one process, on one machine

`python benchmarks/ray_overhead.py {spec}`: {items:,} mini items of {len(TASKS)} tasks, {ROUNDS} rounds in turn, Ray
{version("ray")}, one thread a process, {os.cpu_count()} cores with a load of {os.getloadavg()[1]:.0f} (other work ran).

| | seconds, median | range | items/s | speed against hf |
|---|---:|---:|---:|---:|
{chr(10).join(lines)}

Start of the cluster and one worker: {ready[1]:.0f} s; two more workers: {ready[2]:.0f} s.
""")


if __name__ == "__main__":
    main(*sys.argv[1:])
