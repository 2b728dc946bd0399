"""What a page shows of a run besides its items: scores, stages, comparisons, audit, cost, as JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.ablate import Gain, gains, is_ablated
from harness.api import HarnessError
from harness.compare import Side, compare_sides, main_method, methods_of, read_sides
from harness.report.comparison import notes, records
from harness.report.leaderboard import read
from harness.report.rows import page_rows
from harness.report.samples import Items
from harness.report.training_log import read_curves
from harness.store import Result, Store

_PAIRS = 24  # pairs of sides that are compared unasked
_RESAMPLES = 2000  # enough for the ends of a 95 % interval to within a tenth of its length

_RULES = """
SELECT c.model, c.protocol, c.judge, v.state, v.rule, count(*) AS items
FROM verdicts v JOIN cells c ON c.id = v.cell GROUP BY 1, 2, 3, 4, 5 ORDER BY items DESC
"""


def summarise_run(items: Items, pairs: Sequence[tuple[str, str]] | None) -> dict[str, Any]:
    """Everything but the items, ready for JSON. `pairs` are the sides compared (None: those a reader asks for first).

    Raises HarnessError for a run without a finished task.
    """
    folder, results = items.folder, items.results
    if not results:
        raise HarnessError(f"{folder} has no finished task yet", "wait for the first, or look at what the run printed")
    board = read([folder])
    sides = read_sides([folder])
    wanted = default_pairs(sides, [e.who["model"] for e in board.entries]) if pairs is None else list(pairs)
    columns = list(dict.fromkeys((r.cell.model, r.cell.protocol, r.cell.judge) for r in results))
    with Store(folder, write=False) as store:
        student = store.meta().get("recipe", {}).get("student", {}).get("model", "")
        seen = gains(store, results)
    found: dict[str, Any] = finite(
        {
            "run": folder.resolve().name,
            "editions": list(dict.fromkeys(r.edition for r in results)),
            "mini": any(r.edition.startswith("mini") for r in results),
            "tasks": [{"name": name, "items": items.count(i)} for i, name in enumerate(items.tasks)],
            "benchmarks": list(board.benchmarks),
            "columns": [dict(zip(("model", "protocol", "judge"), column, strict=True)) for column in columns],
            "rows": page_rows(board.entries, results, student),
            "cells": [_cell(r, items.tasks, columns) for r in results],
            "gains": [_gain(gain) for gain in seen],
            "rules": _rules(folder),
            "sides": list(sides),
            "main": main_method(methods) if (methods := methods_of(sides)) else "",
            "student": student,
            "comparisons": sorted((compared(sides, a, b) for a, b in wanted), key=lambda told: "refused" in told),
            "training": read_curves(folder),
        }
    )
    return found


def compared(sides: Mapping[str, Side], a: str, b: str) -> dict[str, Any]:
    """Side `a` against side `b`; where they must not be compared, `refused` says why."""
    try:
        found = compare_sides(sides, a, b, resamples=_RESAMPLES)
    except HarnessError as error:
        return {"a": a, "b": b, "refused": str(error)}
    overall = found.overall
    whole = {
        "difference": overall.points,
        "low": overall.low,
        "high": overall.high,
        "p": overall.p,
        "counted": found.counted,
    }
    return {"a": a, "b": b, "rows": records(found), "overall": whole, "notes": notes(found)}


def default_pairs(sides: Mapping[str, Side], models: Sequence[str]) -> list[tuple[str, str]]:
    """Masters (else the last method) against the others and the untrained models, these among them; else the models."""
    methods = methods_of(sides)
    plain = [n for n in dict.fromkeys(models) if n in sides and not _stage(sides[n]) and not is_ablated(n)]
    mine = main_method(methods) if methods else ""
    against = [(mine, other) for other in [*methods, *plain] if mine and other != mine]
    bases = [(method, name) for name in plain for method in methods]
    untrained = [(new, old) for i, new in enumerate(plain) for old in plain[:i]]
    return list(dict.fromkeys([*against, *bases, *untrained]))[:_PAIRS]


def finite(value: Any) -> Any:
    """The value with null in place of NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


# ---------------------------------------------------------------- parts


def _stage(side: Side) -> Mapping[str, Any]:
    return next(iter(side.values()))[0].result.stage


def _gain(gain: Gain) -> dict[str, Any]:
    d = gain.difference
    return {"model": gain.model, "task": gain.task, "kind": gain.kind, "protocol": gain.protocol, "score": gain.score,
            "blind": gain.blind, "gain": d.points, "low": d.low, "high": d.high}  # fmt: skip


def _cell(result: Result, tasks: Sequence[str], columns: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    cell = result.cell
    groups = result.metrics.groups if result.stage.get("last", True) else {}  # no page shows those of earlier stages
    return {
        "task": tasks.index(cell.task),
        "column": columns.index((cell.model, cell.protocol, cell.judge)),
        "score": result.metrics.score,
        "stderr": result.metrics.stderr,
        "without_random": result.score_without_random,
        "items": result.items,
        "states": dict(result.states),
        "random": result.random,
        "skipped": result.skipped_rows,
        "inferred": result.inferred,
        "tokens": result.tokens,
        "seconds": result.seconds,
        "memory": dict(result.memory),
        "groups": {f: {k: [g.score, g.n] for k, g in table.items()} for f, table in groups.items()},
    }


def _rules(folder: Path) -> list[list[Any]]:
    """How often each rule fired: model, protocol, judge, state, rule, items; over all tasks, most frequent first."""
    with Store(folder, write=False) as store:
        _, batches = store.rows(_RULES)
        return [list(row) for rows in batches for row in rows]
