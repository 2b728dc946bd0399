"""Scores that others report: rows of a leaderboard that were not measured here, each with its source.

The file is a CSV with the columns `model` and `source`, optionally `method` and `average`, and a column a benchmark;
an empty cell means not reported. results/reference/ holds the paper's tables in this form.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.api import HarnessError, Metrics
from harness.report.entries import COLUMNS, Entry
from harness.suites import Composite, Suites, counted

REPORTED = "reported"
_TEXT = ("model", "source", "method", "average")
_REMEDY = "columns: model, source, optionally method and average, and benchmarks by the names of `harness tasks`"


def read_reported(path: Path, suites: Suites, suite: str) -> list[Entry]:
    """The rows of a file; the average is the reported one, else the mean of the benchmarks of `suite` in the row.

    Raises HarnessError naming file and row for a cell that is no score, an unknown benchmark or a missing source.
    """
    tasks = suites.resolve(suite).tasks
    entries = []
    for number, row in _rows(path, suites):
        metrics = {n: _metrics(path, number, n, v) for n, v in row.items() if n not in _TEXT and v}
        mean = _average(path, number, row, metrics, tasks, suites.composites)
        who = dict.fromkeys(COLUMNS, "") | {
            "run": path.stem, "model": row["model"], "method": row.get("method", ""), "protocol": REPORTED,
            "judge": REPORTED, "data": REPORTED,
        }  # fmt: skip
        entries.append(Entry(who, metrics, mean, source=row["source"]))
    return entries


def _rows(path: Path, suites: Suites) -> list[tuple[int, dict[str, str]]]:
    from harness import registry

    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), restval=None, strict=True)
        header, rows = list(reader.fieldnames or ()), list(reader)
    except OSError as error:
        raise HarnessError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HarnessError(f"{path} is not a CSV file: {error}", _REMEDY) from error
    known = {*_TEXT, *registry.names("tasks"), *suites.composites}
    wrong = [name for name in header if name not in known] + [n for n in _TEXT[:2] if n not in header]
    if wrong:
        raise HarnessError(f"{path}: the column {wrong[0]!r} is missing or unknown", _REMEDY)
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values() or not row["model"] or not row["source"]:
            raise HarnessError(f"{path}, row {number}: a cell too many or too few, or no model or source", _REMEDY)
    return list(enumerate(rows, 2))


def _metrics(path: Path, number: int, name: str, value: str) -> Metrics:
    """One reported score: no error bar and no number of items are known."""
    try:
        score = float(value)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 100:
        raise HarnessError(f"{path}, row {number}: {name} is {value!r}, not a score in percent", "write 0 to 100")
    return Metrics(score, math.nan, 0, {})


def _average(
    path: Path, number: int, row: Mapping[str, str], metrics: Mapping[str, Metrics], tasks: Sequence[str],
    composites: Mapping[str, Composite],
) -> Metrics | None:  # fmt: skip
    names = counted((t for t in _with_composites(tasks, composites) if t in metrics), composites)
    if row.get("average"):
        return Metrics(_metrics(path, number, "average", row["average"]).score, math.nan, len(names), {})
    if not names:
        return None
    return Metrics(sum(metrics[name].score for name in names) / len(names), math.nan, len(names), {})


def _with_composites(tasks: Sequence[str], composites: Mapping[str, Composite]) -> list[str]:
    """Papers report MMMU-Pro as one number; its parts and the whole are both looked for."""
    return [*tasks, *(name for name, made in composites.items() if set(made.mean) <= set(tasks))]
