"""Masking one matrix of 1 G parameters on one core, against a copy of it.

    python benchmarks/masking.py [MILLION PARAMETERS ...]     writes benchmarks/results/masking.md (default 64 256 1024)

Time is processor time of the one thread, fastest of a few runs; copies and masks take turns, as the speed of memory
changes with what else the machine does. Memory is what the process grew by while masking.
"""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from conditions import BESIDE

RESULTS = Path(__file__).parent / "results" / "masking.md"
RATIO, REPEATS = 0.2, 5


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one run."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peak_mib() -> float:
    """The largest size the process has had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(millions: int, kind: str) -> str:
    """One row of the table, in this process."""
    import torch

    from trainers.selection import threshold, zero_smallest

    torch.set_num_threads(1)
    count = millions * 1_000_000
    weight = torch.empty(count, dtype=getattr(torch, kind))
    piece = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0)) * 0.02
    for index, part in enumerate(weight.split(len(piece))):
        part.copy_(piece.roll(index * 7919)[: len(part)])
    threshold([weight[:64]], 1)  # loads what is loaded on first use
    k = round(RATIO * count)
    original = weight.clone()
    before = peak_mib()
    zero_smallest(weight, threshold([weight], k))
    extra = peak_mib() - before
    kept = count - int(torch.count_nonzero(weight))
    copies, searches, zeroings = [], [], []
    for _ in range(REPEATS):
        copies.append(seconds(lambda: weight.copy_(original)))
        searches.append(seconds(lambda: threshold([weight], k)))
        found = threshold([weight], k)
        zeroings.append(seconds(lambda found=found: zero_smallest(weight, found)))
    copy, search, zero = min(copies), min(searches), min(zeroings)
    size = count * weight.element_size() / 2**20
    return (
        f"| {millions} M | {kind} | {copy:.3f} | {search:.3f} | {zero:.3f} | {(search + zero) / copy:.1f} "
        f"| {extra:.1f} ({100 * extra / size:.2f} %) | {kept == k} |"
    )


def main(sizes: list[int]) -> None:
    """Measure every size in a process of its own and write the table."""
    lines = [
        "# Magnitude mask of one matrix, r = 0.2, against a copy of it",
        "",
        f"`python benchmarks/masking.py`; processor time of one thread, best of {REPEATS}; {platform.machine()}, "
        f"{BESIDE}. `search` finds the exact threshold, `zero` applies it, in place; `/ copy` "
        "is their sum over one copy of the matrix. `extra` is what the process grew by.",
        "",
        "| parameters | type | copy, s | search, s | zero, s | / copy | extra, MiB | exactly k zeroed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in ("bfloat16", "float32"):
        for size in sizes:
            if kind == "float32" and size > 256:
                continue  # with its copy 8 GiB: too much for a shared machine
            command = [sys.executable, __file__, str(size), kind]
            lines.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
            print(lines[-1])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) == 3 and not sys.argv[2].isdigit():
        print(measure(int(sys.argv[1]), sys.argv[2]))
    else:
        main([int(size) for size in sys.argv[1:]] or [64, 256, 1024])
