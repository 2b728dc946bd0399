"""Faults of the machine, at length: `python benchmarks/soak.py [KILLS] > benchmarks/results/faults.md` (or make soak).

Kills with -9 at random moments of a tiny evaluation, a tiny recipe (generate, train, evaluate) and a re-scoring, each
resumed until it ends, whose table and weights must be those of an undisturbed run; then disk, memory, clock, signals,
damage. A disk is a tmpfs where the user may mount one. tests/test_faults.py has a quick version of each.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import pyarrow.parquet as pq
import soak_faults
import yaml
from faults import forked, harness, stored, table

import harness.cli.run as verb
import harness.rescore as rescoring
from harness import registry
from harness.evaluation import Evaluator
from harness.models.hf import HFModel
from harness.store import request_key
from trainers.generate import GenData
from trainers.step import Stepper

TASKS = "chartqa,mmstar"
RECIPE = {
    "name": "soak", "student": {"model": "embedded/student"},
    "teachers": [{"model": "embedded/small", "r_max": 0.2, "step": 0.2}],
    "responses": {"teacher": 2, "student": 2, "batch_questions": 3, "sampling": {"max_new_tokens": 8}},
    "data": {"sources": ["mini:chartqa,mmstar"], "questions": 24}, "reward": {"judge": {"grade": "task"}},
    "optimizer": {"lr": 1e-3, "questions_per_step": 3}, "methods": ["masters"],
    "train": {"precision": "fp32", "gradient_checkpointing": False, "questions_per_batch": 3, "save_steps": 2},
    "evaluation": {"limit": 20, "stage_limit": 10},
}  # fmt: skip


class Watch:
    """What children do, written down by them: the phase they are in, and every response that a model gives."""

    def __init__(self, folder: Path) -> None:
        self.phase, self.asked = folder / "phase", folder / "asked"
        verb._show = lambda *_: None  # the report is not the point, and would be most of the time
        self._phase(Evaluator, "_infer", "run")
        self._phase(Evaluator, "_score", "score")
        self._phase(rescoring, "rescore", "score")
        self._phase(GenData, "generate", "generate")
        self._phase(Stepper, "step", "train")
        real = HFModel.generate

        def generate(model: HFModel, requests: object) -> Iterator:
            seen: dict[int, object] = {}
            for index, response in real(model, _noted(requests, seen)):
                key = request_key(model.fingerprint(), seen[index]).hex()
                with self.asked.open("a") as file:
                    file.write(f"{key} {response.sample_index}\n")
                yield index, response

        HFModel.generate = generate

    def _phase(self, kind: object, name: str, phase: str) -> None:
        real = getattr(kind, name)

        def wrapped(*arguments: object, **named: object) -> object:
            before = self.phase.read_text() if self.phase.exists() else ""
            self.phase.write_text(phase)
            try:
                return real(*arguments, **named)
            finally:
                self.phase.write_text(before)

        setattr(kind, name, wrapped)

    def taken(self) -> tuple[str, list[str]]:
        """Phase and responses since the last look."""
        found = [path.read_text() if path.exists() else "" for path in (self.phase, self.asked)]
        for path in (self.phase, self.asked):
            path.unlink(missing_ok=True)
        return found[0], found[1].split("\n")[:-1]


def _noted(requests: object, seen: dict[int, object]) -> Iterator:
    for index, request in enumerate(requests):
        seen[index] = request
        yield request


def content(folder: Path) -> str:
    """The run's table and, of a training, the weights of every stage."""
    weights = [path.read_bytes().hex()[-4000:] for path in sorted(folder.glob("checkpoints/**/model.safetensors"))]
    return "\n".join([table(folder), *weights])


def generated(folder: Path) -> list[str]:
    """Names of the stored responses of a training."""
    shards = sorted(folder.glob("gen/*/*.parquet"))
    tables = ((path.parent.name, pq.read_table(path, columns=["key"])["key"].to_pylist()) for path in shards)
    return [f"{asked} {key}" for asked, keys in tables for key in keys]


def kills(what: str, count: int, command: Callable[[Path], Callable], begin: Callable[[Path], None], work: Path,
          watch: Watch, draw: random.Random) -> str:  # fmt: skip
    """Kill a command `count` times, resumed until it ends, then anew; a row of the table."""
    whole = work / f"{what}-whole"
    for _ in range(2):  # in this process, so that its children are killed at work and not while they import torch
        shutil.rmtree(whole, ignore_errors=True)
        begin(whole)
        watch.taken()
        seconds = -time.process_time()
        with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
            command(whole)()
        seconds += time.process_time()
    _, needed = watch.taken()
    expected, phases, again, twice, runs, left = content(whole), Counter(), 0, 0, 0, count
    while left:
        folder, asked = work / f"{what}-{runs}", Counter()
        begin(folder)
        while True:
            kept = {key.hex() for key in stored(folder)}
            ended = forked(command(folder), kill_after=draw.uniform(0, seconds) if left else None)
            phase, responses = watch.taken()
            asked.update(responses)
            twice += sum(line.split()[0] in kept for line in responses)
            if ended.code == 0:
                break
            assert ended.code == -9, ended.text
            phases[phase or "start, load, end"] += 1
            left -= 1
        assert content(folder) == expected, f"{folder} differs from {whole}"
        names = generated(folder)
        twice += len(names) - len(set(names))
        assert set(asked) == set(needed), "other responses were asked for"
        again += asked.total() - len(asked)
        runs += 1
        shutil.rmtree(folder)
    where = ", ".join(f"{n} in {phase}" for phase, n in phases.most_common())
    return (
        f"| kill -9, {what} | {count} kills ({where}) until {runs} runs had ended; a run needs {len(needed)} responses "
        f"| none: every table{' and every weight' if what == 'recipe' else ''} equal; asked again after being stored: "
        f"{twice}; in flight at a kill and so asked again: {again / count:.1f} a kill | - |"
    )


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    draw = random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        watch = Watch(work)
        (work / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
        model = registry.load("checkpoints", "student")()
        run = ["run", "--model", model, "--tasks", TASKS, "--limit", 60, "--batch-tokens", 3000, "--out"]
        recipe = ["run", "--recipe", work / "recipe.yaml", "--tasks", TASKS, "--out"]
        parts: dict[str, tuple[Callable, Callable]] = {
            "run": (lambda folder: harness(*run, folder), lambda folder: None),
            "recipe": (lambda folder: harness(*recipe, folder), lambda folder: None),
            "score": (
                lambda folder: harness("score", folder, "--protocol", "all"),
                lambda folder: shutil.copytree(work / "run-whole", folder),
            ),
        }
        print(soak_faults.HEAD, flush=True)
        for what, share in (("run", 0.3), ("recipe", 0.5), ("score", 0.2)):
            command, begin = parts[what]
            print(kills(what, round(count * share), command, begin, work, watch, draw), flush=True)
        for row in soak_faults.rows(run, work / "run-whole", work):
            print(row, flush=True)


if __name__ == "__main__":
    main()
