"""`make bench`: all of results/peers.md and the tables beside it. all.py [SECTION ...] [--rounds N] does a part."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from growth import MANY_KEPT
from inputs import FAMILIES
from throughput import ROUNDS, kept

HERE = Path(__file__).resolve().parent
BENCHMARKS, RESULTS = HERE.parent, HERE.parent / "results"
Command = tuple[str | Path, ...]


def commands(rounds: str) -> dict[str, list[Command]]:
    """The commands of each section, in their order; each section takes less than eight minutes on a quiet core."""
    return {
        "throughput": [(HERE / "throughput.py", FAMILIES[0], rounds)],
        "internvl": [(HERE / "throughput.py", FAMILIES[1], rounds)],
        "loop": [(BENCHMARKS / "loop_overhead.py",)],
        "overhead": [(HERE / "alone.py", "overhead")],
        "scoring": [
            (BENCHMARKS / "scoring_speed.py", RESULTS / "scoring_speed.md"),
            (BENCHMARKS / "scoring_commands.py", RESULTS / "scoring_commands.md"),
        ],
        "peers-scoring": [(BENCHMARKS / "scoring_speed_peers.py", RESULTS / "scoring_speed_peers.md")],
        "cold": [(BENCHMARKS / "cold_start.py", RESULTS / "cold_start.md"), (HERE / "cold.py",)],
        "resume": [(HERE / "resume.py",)],
        "stages": [(HERE / "stages.py",)],
        "training": [(BENCHMARKS / "training_steps.py",)],
        "packing": [(BENCHMARKS / "packing.py",)],
        "masking": [(BENCHMARKS / "masking.py",)],
        "memory": [(HERE / "alone.py", "memory")],
        "growth": [(HERE / "growth.py",)],
    }


def main() -> None:
    """Run what is named, else everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(commands(''))} (default: all)")
    parser.add_argument("--rounds", default=str(ROUNDS), help="of throughput")
    given = parser.parse_args()
    chosen = commands(given.rounds)
    if unknown := set(given.sections) - set(chosen):
        parser.error(f"no section is called {', '.join(sorted(unknown))}")
    if not given.sections:
        for family in FAMILIES:
            kept(family).unlink(missing_ok=True)
        MANY_KEPT.unlink(missing_ok=True)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # every side on the same one core
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    for section in given.sections or chosen:
        for command in chosen[section]:
            subprocess.run([sys.executable, *command], check=True, cwd=BENCHMARKS.parent, env=environment)


if __name__ == "__main__":
    main()
