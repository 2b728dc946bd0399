"""What a training writes down: a line of JSON a step, and every part of every reward."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from trainers.groups import Group
from trainers.rewards import RewardParts

_EDGES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)


class StepLog:
    """`train.jsonl`: one line a step. Lines after the step a training resumes from are dropped.

    Of several processes only the one that `writes` has a file.
    """

    def __init__(self, path: Path, steps_done: int, writes: bool = True) -> None:
        self._file: TextIO | None = None
        if not writes:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError):  # a line that a kill or a full disk has cut
                    if json.loads(line)["step"] < steps_done:
                        kept.append(line + "\n")
            half = path.with_suffix(".half")
            half.write_text("".join(kept), encoding="utf-8")
            half.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a line; it is on disk when this returns, as far as the system keeps its word."""
        if self._file is not None:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class RewardLog:
    """The rewards of a stage as parquet: a file for the steps between two states, by the one that `writes`."""

    def __init__(self, folder: Path, first_step: int, writes: bool = True) -> None:
        self._folder, self._writes = folder, writes
        self._first = first_step
        self._rows: list[dict[str, Any]] = []

    def add(self, step: int, groups: Sequence[Group], parts: Sequence[RewardParts]) -> None:
        """Keep the parts of a step's responses, with their texts and verdicts."""
        if not self._writes:
            return
        at = iter(parts)
        for group in groups:
            for place, response in enumerate(group.responses):
                verdict = group.verdicts[place] if group.verdicts else None
                self._rows.append(
                    {
                        "step": step, **asdict(next(at)), "sample": group.question.sample.id,
                        "gold": group.question.sample.answer, "text": response.text, "finish": response.finish,
                        "state": str(verdict.state) if verdict else "", "rule": verdict.rule if verdict else "",
                        "extracted": verdict.extracted if verdict else "", "note": verdict.note if verdict else "",
                    }
                )  # fmt: skip

    def flush(self, next_step: int) -> None:
        """Write what was added; the next file starts at `next_step`."""
        if self._rows:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"part-{self._first:06d}.parquet"
            half = path.with_suffix(".half")
            pq.write_table(pa.Table.from_pylist(self._rows), half, compression="zstd")
            half.replace(path)
        self._rows, self._first = [], next_step


def advantage_stats(advantages: Sequence[float]) -> dict[str, Any]:
    """What a log shows of a step's advantages: their spread, the share that is 0, and a histogram by half units."""
    counts = [0] * (len(_EDGES) + 1)
    for value in advantages:
        counts[sum(value >= edge for edge in _EDGES)] += 1
    number = max(1, len(advantages))
    return {
        "mean_abs": sum(map(abs, advantages)) / number,
        "zero": sum(value == 0 for value in advantages) / number,
        "histogram": counts,
    }
