"""Worst-case time of every scoring rule on long responses: python benchmarks/extractor_times.py [OUT.md]

For each rule the slowest of the hostile texts (tests/hostile.py) at 10 kB, 100 kB and 1 MB. A linear rule takes ten
times as long for ten times the text; the last column is the growth from 100 kB to 1 MB.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from hostile import PIECES, long, mini_samples, scorers

from harness.api import Response, Sample
from harness.judge.rule import open_judge
from harness.registry import rules, task
from harness.scoring.score import score_all

SIZES = (10_000, 100_000, 1_000_000)
JUDGE = open_judge()
TEXTS = {(piece, size): long(text, size) for piece, text in PIECES.items() for size in SIZES}


def seconds(name: str, protocol: str, samples: list[Sample], text: str) -> float:
    """CPU seconds of the slowest of the samples with one response."""
    scoring, response, worst = rules(task(name), protocol), Response(text), 0.0
    for sample in samples:
        start = time.process_time()
        list(score_all(scoring, [(sample, response)], JUDGE))
        worst = max(worst, time.process_time() - start)
    return worst


def kinds(samples: list[Sample]) -> list[Sample]:
    """One sample with options and one without, where the task has both."""
    found = {(bool(s.choices), str(s.meta.get("answer_type"))): s for s in samples}
    return list(found.values())


def row(name: str, protocol: str, samples: list[Sample]) -> str:
    """A line of the table: the slowest text at 1 MB, and its time at every size."""
    at_most = {piece: seconds(name, protocol, samples, TEXTS[piece, SIZES[-1]]) for piece in PIECES}
    worst = max(at_most, key=lambda piece: at_most[piece])
    times = [min(seconds(name, protocol, samples, TEXTS[worst, size]) for _ in range(3)) for size in SIZES]
    shown = " | ".join(f"{1000 * t:.2f}" for t in times)
    return f"| {name} | {protocol} | {worst} | {shown} | {times[2] / max(times[1], 1e-6):.1f} |"


def main() -> None:
    """Print the table, and write it where a file is named."""
    samples = {name: kinds(found) for name, found in mini_samples(40).items()}
    lines = [
        "# Worst-case time of the scoring rules", "",
        "CPU milliseconds for one response, on one core, the slowest of 21 hostile texts; "
        "`python benchmarks/extractor_times.py` makes this table.", "",
        "| task | protocol | slowest text | 10 kB | 100 kB | 1 MB | growth |",
        "| :-- | :-- | :-- | --: | --: | --: | --: |",
        *(row(name, protocol, samples[name]) for name, protocol in scorers() if protocol != "lmms-eval@post-1471"
          or name == "mmmu"),
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)


if __name__ == "__main__":
    main()
