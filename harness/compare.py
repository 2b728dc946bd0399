"""Two models of one or several runs on the same items: is the difference real?

A side is a model label, or the final stages of a method over its training seeds. Sides are refused when they were
not asked the same thing: other items, protocol, judge or (for trained models) training budget.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.api import HarnessError, Unit
from harness.stats.overall import Overall, mean_over_tasks, mean_over_tasks_and_seeds
from harness.stats.paired import Difference, Recovered, compare, gap_recovered, pair
from harness.stats.seeds import SeededDifference, compare_seeds
from harness.store import Result, Store
from harness.suites import counted, load_suites, shares

_MAIN = "masters"
REFUSALS = ("items", "protocol", "judge", "budget")

#: What a budget must agree in exactly; sampled responses differ in length, so tokens may differ by a tenth.
_EXACT = ("steps", "questions", "responses")
_TOKENS, _TOKEN_RATIO = "student_tokens", 1.1


class Refused(HarnessError):
    """The two sides were not asked the same thing; `--allow` passes over it."""


@dataclass(frozen=True)
class Measured:
    """One model's result on one task with its units."""

    run: str
    result: Result
    units: Sequence[Unit]

    @property
    def budget(self) -> Mapping[str, Any]:
        """What its training spent (empty for a model that was not trained here)."""
        spent: Mapping[str, Any] = self.result.stage.get("budget", {})
        return spent


@dataclass(frozen=True)
class Row:
    """One task: both scores in percent, the difference, p after Holm's correction over the tasks."""

    task: str
    score_a: float
    score_b: float
    difference: Difference
    p_holm: float
    seeds: SeededDifference | None
    recovered: Recovered | None


@dataclass(frozen=True)
class Comparison:
    """`a` against `b` on all tasks that both have.

    `overall` is the difference of the `averages` of a and b, over `counted` benchmarks as the leaderboard counts them
    (MMMU-Pro's two settings are one).
    """

    a: str
    b: str
    rows: Sequence[Row]
    overall: Overall
    averages: tuple[float, float]
    counted: int
    warnings: Sequence[str]


#: model label -> task -> results (one per seed)
Side = Mapping[str, Sequence[Measured]]


def read_sides(folders: Sequence[Path]) -> dict[str, dict[str, list[Measured]]]:
    """All sides of some runs: each model by its label, and each trained method by its name over its seeds.

    With several folders a label that stands in more than one is given as `RUN:LABEL`. Where a run was scored under
    several protocols or judges, all but the first are given as `LABEL [PROTOCOL, JUDGE]`.
    """
    sides: dict[str, dict[str, list[Measured]]] = {}
    measured: list[Measured] = []
    for folder in folders:
        with Store(folder, write=False) as store:
            measured += [Measured(folder.name, r, store.units(r.cell)) for r in store.results()]
    runs_of: dict[str, set[str]] = {}
    for one in measured:
        runs_of.setdefault(one.result.cell.model, set()).add(one.run)
    views = _views(measured)
    for one, view in zip(measured, views, strict=True):
        label = one.result.cell.model
        name = label if len(runs_of[label]) == 1 else f"{one.run}:{label}"
        sides.setdefault(name + view, {}).setdefault(one.result.cell.task, []).append(one)
    sides.update(_methods(measured, views))
    return sides


def _views(measured: Sequence[Measured]) -> list[str]:
    """What a side's name says of protocol and judge: nothing for the first with which its run scored the task."""
    first: dict[tuple[str, str, str], tuple[str, str]] = {}
    found = []
    for one in measured:
        cell = one.result.cell
        own = (cell.protocol, cell.judge)
        known = first.setdefault((one.run, cell.model, cell.task), own)
        found.append("" if own == known else f" [{', '.join(own)}]")
    return found


def _methods(measured: Sequence[Measured], views: Sequence[str]) -> dict[str, dict[str, list[Measured]]]:
    """The last stage of every method and seed, under the method's name."""
    last: dict[tuple[str, str, int], Measured] = {}
    for one, view in zip(measured, views, strict=True):
        stage = one.result.stage
        if "method" not in stage:
            continue
        key = (stage["method"] + view, one.result.cell.task, stage["seed"])
        if key not in last or stage["index"] > last[key].result.stage["index"]:
            last[key] = one
    sides: dict[str, dict[str, list[Measured]]] = {}
    for (method, task, _), one in sorted(last.items(), key=lambda item: item[0][2]):  # by seed; else as they ran
        sides.setdefault(method, {}).setdefault(task, []).append(one)
    return sides


def methods_of(sides: Mapping[str, Side]) -> list[str]:
    """The sides that are trained methods, in the order in which they ran."""
    found: dict[str, int] = {}
    for name, tasks in sides.items():
        for measured in tasks.values():
            if measured[0].result.stage.get("method") == name:
                found.setdefault(name, len(found))
    return list(found)


def main_method(methods: Sequence[str]) -> str:
    """The method that the others are compared with: Masters where it ran, else the last."""
    return _MAIN if _MAIN in methods else methods[-1]


def compare_sides(
    sides: Mapping[str, Side],
    a: str,
    b: str,
    *,
    base: str | None = None,
    teacher: str | None = None,
    alpha: float = 0.05,
    resamples: int = 10_000,
    allow: Sequence[str] = (),
    seed: int = 0,
) -> Comparison:
    """Compare side `a` with side `b` on the tasks that both have.

    With `base` and `teacher`, each row also says which share of the gap between them `a` recovered. `allow` names
    refusals to pass over (of REFUSALS); they come back as warnings. Raises HarnessError for an unknown side or a
    refused pair.
    """
    from statsmodels.stats.multitest import multipletests

    for name in filter(None, (a, b, base, teacher)):
        if name not in sides:
            raise HarnessError(f"no model or method is called {name!r}", f"there are: {', '.join(sides)}")
    suites = load_suites()
    usual = suites.resolve("full").tasks
    tasks = sorted((task for task in sides[a] if task in sides[b]), key=lambda task: (*usual, task).index(task))
    if not tasks:
        raise HarnessError(f"{a} and {b} have no task in common", "evaluate both on the same suite")
    warnings: list[str] = []
    rows = []
    for task in tasks:
        mine, other = sides[a][task], sides[b][task]
        _check(mine, other, task, allow, warnings)
        recovered = None
        if base and teacher and task in sides[base] and task in sides[teacher]:
            origin = _average(sides[base][task])
            recovered = gap_recovered(
                pair(_average(mine), origin), pair(_average(sides[teacher][task]), origin), alpha=alpha,
                resamples=resamples, seed=seed,
            )  # fmt: skip
        paired = pair(_average(mine), _average(other))
        difference = compare(paired, alpha=alpha, resamples=resamples, seed=_stream(seed, task))
        rows.append(
            Row(task, _mean(mine), _mean(other), difference, difference.p, _by_seed(mine, other, alpha), recovered)
        )
    adjusted = multipletests([_p(row) for row in rows], alpha=alpha, method="holm")[1]
    rows = [
        Row(r.task, r.score_a, r.score_b, r.difference, float(p), r.seeds, r.recovered)
        for r, p in zip(rows, adjusted, strict=True)
    ]
    composites = suites.composites
    weights = shares(tasks, composites)
    averages = (sum(weights[r.task] * r.score_a for r in rows), sum(weights[r.task] * r.score_b for r in rows))
    overall = _overall(rows, [weights[row.task] for row in rows], alpha)
    return Comparison(a, b, rows, overall, averages, len(counted(tasks, composites)), warnings)


def _stream(seed: int, task: str) -> int:
    """A seed for each task: with one for all, their bootstrap replicates would rise and fall together."""
    return int.from_bytes(hashlib.sha256(f"{seed} {task}".encode()).digest()[:8])


def _p(row: Row) -> float:
    """With several seeds the p that counts their spread, else the permutation test's."""
    return row.seeds.p if row.seeds else row.difference.p


def _mean(measured: Sequence[Measured]) -> float:
    return sum(one.result.metrics.score for one in measured) / len(measured)


def _average(measured: Sequence[Measured]) -> Sequence[Unit]:
    """The units with scores averaged over seeds."""
    if len(measured) == 1:
        return measured[0].units
    scores: dict[str, list[float]] = {}
    for one in measured:
        for unit in one.units:
            scores.setdefault(unit.id, []).append(unit.score)
    return [Unit(u.id, u.cluster, float(np.mean(scores[u.id])), u.weight) for u in measured[0].units]


def _by_seed(mine: Sequence[Measured], other: Sequence[Measured], alpha: float) -> SeededDifference | None:
    """Seed by seed where both have the same seeds; each seed against the one model where the other has one."""
    seeds = max(len(mine), len(other))
    mine, other = (list(side) * seeds if len(side) == 1 else side for side in (mine, other))
    if seeds < 2 or len(mine) != len(other):
        return None
    return compare_seeds([pair(x.units, y.units) for x, y in zip(mine, other, strict=True)], alpha=alpha)


def _check(
    mine: Sequence[Measured], other: Sequence[Measured], task: str, allow: Sequence[str], warnings: list[str]
) -> None:
    """Refuse what is not comparable, or warn where it was allowed."""
    first, second = mine[0], other[0]
    facts = {
        "items": (first.result.data_sha256, second.result.data_sha256),
        "protocol": (first.result.cell.protocol, second.result.cell.protocol),
        "judge": (first.result.cell.judge, second.result.cell.judge),
    }
    if first.budget and second.budget and not _same_budget(first.budget, second.budget):
        facts["budget"] = (str(dict(first.budget)), str(dict(second.budget)))
    for name, (left, right) in facts.items():
        if left == right:
            continue
        where = "" if name == "budget" else f"{task}: "  # one training, so the budget is the same on every task
        told = f"{where}{name} differ: {left[:100]} and {right[:100]}"
        if name not in allow:
            raise Refused(told, f"--allow {name} compares them all the same")
        if told not in warnings:
            warnings.append(told)


def _same_budget(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    if any(a.get(name) != b.get(name) for name in _EXACT):
        return False
    tokens = sorted((a.get(_TOKENS, 0), b.get(_TOKENS, 0)))
    return bool(tokens[1] <= _TOKEN_RATIO * tokens[0]) if tokens[0] else tokens[0] == tokens[1]


def _overall(rows: Sequence[Row], weights: Sequence[float], alpha: float) -> Overall:
    """Mean over tasks, with the seeds where every task has them."""
    seeded = [row.seeds for row in rows if row.seeds]
    if len(seeded) == len(rows):
        return mean_over_tasks_and_seeds(seeded, weights, alpha=alpha)
    return mean_over_tasks([row.difference for row in rows], weights, alpha=alpha)
