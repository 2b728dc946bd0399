"""A recipe's run at one glance: scores of all methods, what each method has and gains, and the average by stage.

The default view of `harness compare RUN`; the columns follow Tables 1, 2 and 5(d) of the paper.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.compare import Comparison, Measured, Refused, Side, compare_sides, main_method, methods_of
from harness.report.common_items import on_common_items
from harness.report.entries import Entry
from harness.report.leaderboard import average
from harness.store import Store
from harness.suites import counted, load_suites

_FLAGS = ("mid", "mask", "multi", "reward")


@dataclass(frozen=True)
class Line:
    """One method: which parts it has (of _FLAGS), against the student and the main method against it.

    A comparison is None where it makes no sense or the items, protocol or judge differ; `other_budget` says that it
    spent something else than the main method.
    """

    method: str
    seeds: int
    parts: Mapping[str, bool]
    over_student: Comparison | None
    main_over: Comparison | None
    other_budget: bool


@dataclass(frozen=True)
class Overview:
    """What the tables show; `stages` has a row a method: the average after each stage, on the items that all share."""

    main: str
    student: str
    models: Sequence[str]
    tasks: Sequence[str]
    scores: Mapping[str, Mapping[str, float]]
    averages: Mapping[str, float]
    counted: int
    lines: Sequence[Line]
    stage_heads: Sequence[str]
    stages: Mapping[str, Sequence[float | None]]


def overview(folder: Path, sides: Mapping[str, Side], *, resamples: int = 10_000, alpha: float = 0.05) -> Overview:
    """The overview of a run in which methods were trained."""
    methods = methods_of(sides)
    with Store(folder, write=False) as store:
        student = store.meta().get("recipe", {}).get("student", {}).get("model", "")
    plain = [n for n, side in sides.items() if not _first(side).result.stage and n == _first(side).result.cell.model]
    student = student if student in plain else (plain[0] if plain else "")
    main = main_method(methods)
    models = [*([student] if student else []), *methods, *(name for name in plain if name != student)]
    tasks = [task for task in sides[models[0]] if all(task in sides[name] for name in models)]
    scores = {name: {task: _mean(sides[name][task]) for task in tasks} for name in models}
    composites = load_suites().composites
    names = counted(tasks, composites)
    averages = {}
    for name in models:
        own = dict(scores[name])
        for extra in names:
            if extra in composites:
                parts = composites[extra].mean
                own[extra] = sum(own[part] for part in parts) / len(parts)
        averages[name] = sum(own[one] for one in names) / len(names)
    rewarded = _rewarded(folder)
    lines = [_line(method, main, student, sides, rewarded, resamples, alpha) for method in methods]
    return Overview(main, student, models, tasks, scores, averages, len(names), lines, *stage_averages(sides))


def _first(side: Side) -> Measured:
    return next(iter(side.values()))[0]


def _mean(measured: Sequence[Measured]) -> float:
    return sum(one.result.metrics.score for one in measured) / len(measured)


def _line(
    method: str, main: str, student: str, sides: Mapping[str, Side], rewarded: Sequence[str], resamples: int,
    alpha: float,
) -> Line:  # fmt: skip
    first = _first(sides[method])
    stages = [_first(side).result.stage for side in sides.values()]
    own = [stage for stage in stages if stage.get("method") == method]
    budget = first.budget
    parts = {
        "mid": len({stage.get("teacher") for stage in own}) > 1,
        "mask": any(stage.get("r", 0) > 0 for stage in own),
        "multi": budget.get("responses", 0) > budget.get("questions", 0),
        "reward": method in rewarded,
    }

    def against(a: str, b: str) -> Comparison | None:
        try:
            return compare_sides(sides, a, b, resamples=resamples, alpha=alpha, allow=["budget"])
        except Refused:
            return None

    over = against(method, student) if student else None
    mine = against(main, method) if method != main else None
    seeds = len(next(iter(sides[method].values())))
    return Line(method, seeds, parts, over, mine, bool(mine and any("budget" in text for text in mine.warnings)))


def _rewarded(folder: Path) -> list[str]:
    """The methods whose loss has a policy term, from their training logs."""
    found = []
    for path in sorted(folder.glob("*/seed*/train.jsonl")):
        with path.open(encoding="utf-8") as file:
            first: dict[str, Any] = json.loads(file.readline() or "{}")
        if "loss/policy" in first:
            found.append(path.parent.parent.name)
    return found


# ---------------------------------------------------------------- stages


def stage_averages(sides: Mapping[str, Side]) -> tuple[list[str], dict[str, list[float | None]]]:
    """Heads of the stages, and for each method the average after each, over the items that all stages share.

    Heads have teacher and mask ratio of the main method; controls may have others.
    """
    methods = methods_of(sides)
    main = main_method(methods)
    entries, places, heads = [], [], {}
    for name, side in sides.items():
        stage = _first(side).result.stage
        if "method" in stage and name == _first(side).result.cell.model:  # not a method, and not another protocol
            metrics = {task: replace(m[0].result.metrics, units=tuple(m[0].units)) for task, m in side.items()}
            entries.append(Entry({"model": name}, metrics, None))
            places.append((stage["method"], stage["index"]))
            if stage["method"] == main or stage["index"] not in heads:
                teacher = str(stage.get("teacher", "")).rpartition("/")[2]
                heads[stage["index"]] = f"{teacher} r={stage['r']:g}" if "r" in stage else teacher
    composites = load_suites().composites
    found: dict[tuple[str, int], list[float]] = {}
    for place, metrics in zip(places, on_common_items(entries), strict=True):
        whole = dict(metrics)
        for name, composite in composites.items():
            if set(composite.mean) <= whole.keys():
                whole[name] = composite.combine(whole)
        mean = average(whole, counted(metrics, composites))
        if mean:
            found.setdefault(place, []).append(mean.score)
    order = sorted(heads)
    rows = {m: [_mean_of(found.get((m, index))) for index in order] for m in methods}
    return [f"{index + 1} {heads[index]}".strip() for index in order], rows


def _mean_of(values: Sequence[float] | None) -> float | None:
    return sum(values) / len(values) if values else None
