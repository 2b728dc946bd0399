"""How long does the command line take to start? `python benchmarks/cold_start.py [OUT.md]`

Each command runs in a process of its own, ten times after one run that fills the disk cache; the median of the wall
and of the processor time is kept (on a busy machine the second is the steadier one), and what was imported.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from conditions import BESIDE

RUNS = 10
COMMANDS = {"--help": 0.3, "run --help": 0.3, "tasks": 0.5, "suites": 0.5, "models": 0.5, "trainers": 0.5}
HEAVY = ("torch", "pandas", "pyarrow", "transformers")


def once(command: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def imported(words: list[str]) -> str:
    """Which of the heavy packages a command imports."""
    command = [sys.executable, "-X", "importtime", "-m", "harness", *words]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stderr.splitlines()
    names = {line.rpartition("|")[2].strip() for line in lines}
    return ", ".join(name for name in HEAVY if name in names) or "none"


def main() -> None:
    """Measure every command and write the table."""
    lines = [
        "# Cold start of the command line",
        "",
        f"`python benchmarks/cold_start.py`: median of {RUNS} processes, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, {BESIDE}.",
        "",
        "| command | wall, s | processor, s | bound, s | heavy imports |",
        "|---|--:|--:|--:|---|",
    ]
    for words, bound in {"(python alone)": None, **COMMANDS}.items():
        command = [sys.executable, "-c", "pass"] if bound is None else [sys.executable, "-m", "harness", *words.split()]
        once(command)
        walls, cpus = zip(*(once(command) for _ in range(RUNS)), strict=True)
        name, limit = (words, "") if bound is None else (f"`harness {words}`", f"{bound}")
        heavy = "none" if bound is None else imported(words.split())
        lines.append(f"| {name} | {statistics.median(walls):.3f} | {statistics.median(cpus):.3f} | {limit} | {heavy} |")
    text = "\n".join(lines) + "\n"
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
