"""`make bench`: every section of results/peers.md, and the tables of the loop and of cold starts beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from inputs import WORK

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results"
COMMANDS = (
    (HERE.parent / "loop_overhead.py",),
    (HERE.parent / "cold_start.py", RESULTS / "cold_start.md"),
    (HERE / "throughput.py",),
    (HERE / "alone.py",),
    (HERE / "cold.py",),
    (HERE / "resume.py",),
    (HERE / "stages.py",),
)

if __name__ == "__main__":
    (WORK / "throughput.jsonl").unlink(missing_ok=True)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # every side on the same one core
    for command in COMMANDS:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        subprocess.run([sys.executable, *command], check=True, cwd=HERE.parents[1], env=environment)
