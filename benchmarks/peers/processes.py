"""Whole processes, timed: processor and wall seconds, and the least of many numbers that tables need."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1]))
from conditions import BESIDE

RESULTS = Path(__file__).resolve().parents[1] / "results" / "peers.md"
QUIET = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
}  # fmt: skip


class Spent(NamedTuple):
    """Seconds of all processors and of the clock on the wall."""

    cpu: float
    wall: float


def timed(command: Sequence[str | Path], shown: str = "", environment: Mapping[str, str] | None = None) -> Spent:
    """Run a process to its end; it must succeed and print `shown`."""
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False,
        env={**os.environ, **QUIET, **(environment or {})},
    )  # fmt: skip
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode or shown not in done.stdout + done.stderr:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Spent(cpu, wall)


def here(work: Callable[[], Any]) -> Spent:
    """What a piece of work costs in this process."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Spent(time.process_time() - cpu, time.perf_counter() - wall)


def middle(rounds: Sequence[Spent]) -> Spent:
    """The median of each clock."""
    return Spent(*(median(side) for side in zip(*rounds, strict=True)))


def harness(*words: str | Path) -> list[str | Path]:
    """A command of ours."""
    return [sys.executable, "-m", "harness", *words]


def write_section(title: str, body: str) -> None:
    """Replace one section of the table's file, or add it; the others stay."""
    sections = RESULTS.read_text().split("\n## ")[1:] if RESULTS.exists() else []
    found = dict(section.split("\n", 1) for section in sections)
    found[title] = f"\n{body.strip()}\n"
    parts = [HEAD.strip(), *(f"## {name}\n\n{found[name].strip()}" for name in sorted(found))]
    RESULTS.write_text("\n\n".join(parts) + "\n")
    print(f"## {title}\n\n{body}", flush=True)


HEAD = f"""# Speed beside lmms-eval and VLMEvalKit

Written by `make bench` (benchmarks/peers/), one section a question, each measured
{BESIDE}:
our process and theirs in turn, one thread on one core, medians over the rounds, ratios of pairs. Seconds are those of
the processor unless they are called wall. In tables of their own: the overhead of the loop
([loop_overhead.md](loop_overhead.md)), c. scoring ([functions](scoring_speed_peers.md), [whole
commands](scoring_commands.md), [up to a million](scoring_speed.md)), f. training ([steps](training_steps.md),
[packing](packing.md)), g. [masking](masking.md). What was tried, and what it brought: benchmarks/NOTES.md.
"""
