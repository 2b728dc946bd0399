"""The rows of a page's leaderboard and curves: models, methods over their training seeds, stages, masked teachers.

The kind of a row: `model` was not trained here, `method` is a method's last stage or the mean of its seeds, `final` the
last stage of one of several seeds, `stage` an earlier one, `teacher` a masked teacher, `ablated` sees changed images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.ablate import is_ablated
from harness.api import Metrics
from harness.report.common_items import on_common_items
from harness.report.entries import Entry
from harness.report.leaderboard import average
from harness.report.seeds import over_seeds
from harness.stats.paired import cluster_stderr, pair
from harness.store import Result
from harness.suites import counted, load_suites


def page_rows(entries: Sequence[Entry], results: Sequence[Result], student: str) -> list[dict[str, Any]]:
    """The rows in the order of the run, methods before their seeds; `student` is the untrained model, if known."""
    stages = {result.cell.model: result.stage for result in results}
    kinds = [_kind(entry, stages, results) for entry in entries]
    rows = [_row(entry, kind, stages[entry.who["model"]]) for entry, kind in zip(entries, kinds, strict=True)]
    for row, curve in zip(rows, _curves(entries, student), strict=True):
        row["curve"] = curve
    return [*_means(entries, kinds), *rows]


def _kind(entry: Entry, stages: Mapping[str, Mapping[str, Any]], results: Sequence[Result]) -> str:
    name = entry.who["model"]
    stage = stages[name]
    if is_ablated(name):
        return "ablated"
    if "method" not in stage:
        return "teacher" if stage else "model"
    of_method = [r.stage for r in results if r.stage.get("method") == stage["method"]]
    if stage["index"] < max(s["index"] for s in of_method if s["seed"] == stage["seed"]):
        return "stage"
    return "final" if len({s["seed"] for s in of_method}) > 1 else "method"


def _means(entries: Sequence[Entry], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each method that has several seeds (under each protocol and judge)."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry, kind in zip(entries, kinds, strict=True):
        if kind == "final":
            groups.setdefault(tuple(entry.who[name] for name in ("method", "protocol", "judge")), []).append(entry)
    found = []
    for (method, *_), seeds in groups.items():
        row = _row(over_seeds(seeds), "method", {})
        found.append(row | {"shown": f"{method}, {len(seeds)} seeds", "seeds": len(seeds)})
    return found


def _row(entry: Entry, kind: str, stage: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: stage[name] for name in ("method", "seed", "index", "teacher", "r", "budget") if name in stage}
    return {
        **entry.who,
        "kind": kind,
        "shown": stage["method"] if kind == "method" and stage else entry.who["model"],
        "at": known,
        "average": numbers(entry.average) if entry.average else None,
        "scores": {name: numbers(metrics) for name, metrics in entry.metrics.items()},
    }


def numbers(metrics: Metrics) -> list[float]:
    """Score, standard error and n."""
    return [metrics.score, metrics.stderr, metrics.n]


# ---------------------------------------------------------------- curves over stages


def _curves(entries: Sequence[Entry], student: str) -> list[dict[str, Any]]:
    """Scores over the items that all rows share: score, standard error, n, standard error of the gain over the student.

    The last is None where the run does not say which model was trained.
    """
    suites = load_suites()
    tasks = suites.resolve("full").tasks
    shared = on_common_items(entries)
    models = [entry.who["model"] for entry in entries]
    base = shared[models.index(student)] if student in models else {}
    found = []
    for metrics in shared:
        names = counted((task for task in tasks if task in metrics), suites.composites)
        mean = average(metrics, names)
        errors = {name: _gain_error(one, base[name]) for name, one in metrics.items() if name in base}
        scores = {name: [*numbers(one), errors.get(name)] for name, one in metrics.items()}
        whole: list[float | None] | None = None
        if mean:
            parts = [errors.get(name) for name in names]
            known = [part for part in parts if part is not None]
            gain = float(np.sqrt(np.square(known).sum()) / len(names)) if len(known) == len(parts) else None
            whole = [*numbers(mean), gain]
        found.append({"average": whole, "scores": scores})
    return found


def _gain_error(metrics: Metrics, base: Metrics) -> float | None:
    """Standard error of the paired difference in points; None for a single cluster."""
    error = 100 * cluster_stderr(*pair(metrics.units, base.units).sums)  # common items: the same units
    return error if np.isfinite(error) else None
