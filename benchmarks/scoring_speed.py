"""Scoring speed on stored multiple-choice responses: python benchmarks/scoring_speed.py [OUT.md]

20,000 to 1,000,000 responses of every usual form to MMStar items under each protocol, on one core, from the sample
and response in memory to the verdict; and the peak memory of the process.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from conditions import BESIDE

from harness import registry
from harness.api import Response, Sample
from harness.data import open_dataset
from harness.judge.rule import open_judge
from harness.scoring.score import score_all

SIZES = (20_000, 100_000, 1_000_000)
FORMS = (
    "A", "B.", "(C)", "D. {}", "The answer is B.", "The correct answer is **A**. The picture shows {} at the top.",
    "Let me look at the image. There is a red shape on the left and a blue one on the right. So it must be (B).",
    "{}", "I cannot tell from the image.", "",
)  # fmt: skip


def answered(size: int) -> Iterator[tuple[Sample, Response]]:
    """Mini items of MMStar in turn, with a response of each form."""
    samples = list(open_dataset(registry.task("mmstar"), "mini"))
    said = [Response(form.format(next(iter(samples[0].choices.values())))) for form in FORMS]
    return islice(zip(cycle(samples), cycle(said), strict=False), size)


def measure(protocol: str, size: int) -> float:
    """CPU seconds for `size` responses under a protocol; the verdicts are counted, not kept."""
    rules, items = registry.rules(registry.task("mmstar"), protocol), list(answered(min(size, SIZES[0])))
    start = time.process_time()
    count = sum(1 for _ in score_all(rules, islice(cycle(items), size), open_judge()))
    spent = time.process_time() - start
    assert count == size
    return spent


def main() -> None:
    """Print the table, and write it where a file is named."""
    lines = [
        "# Scoring speed", "",
        "CPU seconds on one core for stored multiple-choice responses (MMStar items, ten usual forms); "
        f"`python benchmarks/scoring_speed.py` made this table, {BESIDE}.", "",
        "| protocol | " + " | ".join(f"{size:,}" for size in SIZES) + " |", "| :-- | --: | --: | --: |",
    ]  # fmt: skip
    for protocol in registry.protocols():
        lines.append(f"| {protocol} | " + " | ".join(f"{measure(protocol, size):.2f}" for size in SIZES) + " |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines += ["", f"Peak memory of the process: {peak:.0f} MB."]
    text = "\n".join(lines) + "\n"
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)


if __name__ == "__main__":
    main()
