"""Scoring speed beside lmms-eval and VLMEvalKit: python benchmarks/scoring_speed_peers.py [OUT.md]

The responses of scoring_speed.py, each item with a number of its own, scored by us and by the installed packages in
the environments of `make upstream-check`; CPU and wall seconds of scoring and aggregation, medians of paired rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

from conditions import BESIDE
from scoring_speed import answered

from harness import registry
from harness.api import Response, Sample, Scored
from harness.folders import cache_folder
from harness.judge.rule import open_judge
from harness.scoring.score import score_all

ROUNDS, SIZES = 3, (5_000, 20_000)
WORKER = Path(__file__).resolve().parents[1] / "upstream" / "speed_worker.py"
os.environ["OMP_NUM_THREADS"] = "1"


class Peer(NamedTuple):
    """A package's way to score, the protocol of ours that follows it, and at most how many rounds for each size."""

    title: str
    framework: str
    mode: str
    protocol: str
    rounds: dict[int, int]


ALL = dict.fromkeys(SIZES, ROUNDS)
PEERS = (
    Peer("lmms-eval: process_results, aggregation", "lmms-eval", "task", "lmms-eval@post-1471", ALL),
    Peer("VLMEvalKit: eval_vanilla of each row alone", "vlmeval", "rows", "vlmevalkit@2026-08", ALL),
    Peer("VLMEvalKit: ImageMCQDataset.evaluate", "vlmeval", "evaluate", "vlmevalkit@2026-08", {5_000: ROUNDS}),
)
Timing = dict[str, float]


def ours(protocol: str, pairs: list[tuple[Sample, Response]]) -> Timing:
    """Scoring and aggregation under a protocol."""
    rules = registry.rules(registry.task("mmstar"), protocol)
    cpu, wall = time.process_time(), time.perf_counter()
    scored = [Scored(pairs[index][0], verdict) for index, verdict in score_all(rules, pairs, open_judge())]
    units = rules.aggregate(scored).units
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return {**spent, "accuracy": sum(unit.score for unit in units) / len(pairs)}


@contextmanager
def worker(framework: str) -> Iterator[subprocess.Popen[str]]:
    """The framework's worker, ready for requests; what it logs is dropped."""
    python = cache_folder() / "upstream" / framework / "bin" / "python"
    command = [str(python), str(WORKER), framework]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield process
        process.stdin.close()


def theirs(process: subprocess.Popen[str], mode: str, cases: Path) -> Timing:
    """One request to a worker."""
    process.stdin.write(json.dumps({"mode": mode, "cases": str(cases)}) + "\n")
    process.stdin.flush()
    if not (answer := process.stdout.readline()):
        raise SystemExit(f"{process.args[-1]}'s worker ended early; run it by hand to see why: {WORKER.name}")
    return json.loads(answer)


def measure(processes: dict[str, subprocess.Popen[str]], size: int) -> Iterator[str]:
    """The rows of the table for a size."""
    pairs = [(replace(sample, id=str(number)), said) for number, (sample, said) in enumerate(answered(size))]
    fields = ("id", "question", "answer", "choices", "meta")
    with tempfile.TemporaryDirectory() as folder:
        cases = Path(folder) / "cases.jsonl"
        with cases.open("w", encoding="utf-8") as out:
            for sample, said in pairs:
                values = {name: getattr(sample, name) for name in fields}
                out.write(json.dumps({"sample": values, "response": said.text}, default=dict) + "\n")
        for peer in PEERS:
            if peer.framework not in processes or size not in peer.rounds:
                continue
            rounds = [
                (ours(peer.protocol, pairs), theirs(processes[peer.framework], peer.mode, cases))
                for _ in range(peer.rounds[size])
            ]
            own, other = ({key: median(r[side][key] for r in rounds) for key in rounds[0][0]} for side in (0, 1))
            ratio = median(there["cpu"] / here["cpu"] for here, there in rounds)
            cells = (
                f"{size:,}", peer.title, len(rounds), f"{other['cpu']:.2f}", f"{other['wall']:.2f}", peer.protocol,
                f"{own['cpu']:.3f}", f"{own['wall']:.3f}", f"{ratio:.1f}", f"{other['accuracy']:.4f}",
                f"{own['accuracy']:.4f}",
            )  # fmt: skip
            yield f"| {' | '.join(map(str, cells))} |"


HEAD = f"""# Scoring speed beside lmms-eval and VLMEvalKit

The same stored MMStar responses (ten usual forms) scored by the installed packages (lmms-eval 0.7.3, ms-vlmeval
0.0.20, their own functions) and by us under the protocol that follows each, one thread; seconds of scoring and
aggregation only (imports, the making of inputs and files excluded), medians of paired rounds, ratio of CPU seconds.
`python benchmarks/scoring_speed_peers.py` made this table, {BESIDE}; read CPU
seconds, not wall. `scoring_commands.md` has the whole commands, as a user runs them. VLMEvalKit's evaluate reads and
writes tables (TSV in) and after each row writes the results so far anew: its time grows with the square of the number
of responses, so that 20,000 would take 7 to 10 CPU minutes a round and are left out; "eval_vanilla alone" is its
scoring without any file.

lmms-eval's bare functions return one number an item; ours return a verdict (state, answer, rule) at the same price,
which is the reading itself: there is no factor of ten to be had without remembering equal texts.

The accuracies beside VLMEvalKit differ by .01, all by one rule: what stands behind "answer is" (upstream pull request
1552, a67ace50 of June 2026; in the pin `vlmevalkit@2026-08`, not in the package 0.0.20). It is one of the ten forms,
"The correct answer is **A**. The picture shows {{}} at the top.": to the mini items 65, 85, 125 and 135 (gold A, 100
responses) the package reads nothing and counts them wrong, to 105 and 165 (gold B, 50 responses) it reads the option
text behind "shows" and counts them right; our rule reads A in all. All other scores are equal.

| responses | peer | rounds | peer CPU s | peer wall s | ours | CPU s | wall s | peer / ours | accuracy, peer | ours |
| --: | :-- | --: | --: | --: | :-- | --: | --: | --: | --: | --: |"""


def main() -> None:
    """Print the table, and write it where a file is named."""
    lines = [HEAD]
    with ExitStack() as stack:
        processes = {}
        for framework in dict.fromkeys(peer.framework for peer in PEERS):
            if (cache_folder() / "upstream" / framework / "bin" / "python").exists():
                processes[framework] = stack.enter_context(worker(framework))
            else:
                print(f"{framework} is left out: its environment is absent; `make upstream-check` makes it.")
        for size in SIZES if processes else ():
            for line in measure(processes, size):
                print(line, flush=True)
                lines.append(line)
    if len(sys.argv) > 1 and processes:
        Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
