"""The table that a run prints: benchmarks as rows, models as columns, and below it what a reader must know."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.api import State
from harness.report.entries import counted
from harness.report.plain import plain
from harness.store import Result
from harness.suites import load_suites

_SHARE_SHOWN = 0.01  # a state that is not `scored` is named below the table when it has more than this share
_ALWAYS = (State.JUDGE_FAILED, State.ERROR)  # named however few they are
_CELL, _FIRST = 18, 32  # columns of the terminal for a model and for the task with its n
_MEANING = {
    State.UNPARSED: "no rule could read the response",
    State.TRUNCATED: "cut at the token limit",
    State.REFUSED: "the model declined",
    State.JUDGE_FAILED: "the judge gave no answer",
    State.ERROR: "the model gave no answer",
}


class _Column(NamedTuple):
    model: str
    protocol: str
    judge: str


def print_results(results: Sequence[Result], console: Console) -> None:
    """Print scores in percent ± standard error, one column a model (a further table where they do not fit).

    Below: edition, protocol, judge, and an audit: states above 1 %, skipped rows, items answered at random.
    """
    if not results:
        console.print("no results yet")
        return
    cells = {(_Column(r.cell.model, r.cell.protocol, r.cell.judge), r.cell.task): r for r in results}
    columns = list(dict.fromkeys(column for column, _ in cells))
    tasks = list(dict.fromkeys(task for _, task in cells))
    fit = max(1, (console.width - _FIRST) // _CELL)
    for start in range(0, len(columns), fit):
        console.print(_table(columns[start : start + fit], columns, tasks, cells))
    for line in _notes(results):
        console.print(line, soft_wrap=True)


def _table(
    shown: Sequence[_Column], all_: Sequence[_Column], tasks: Sequence[str],
    cells: Mapping[tuple[_Column, str], Result],
) -> Table:  # fmt: skip
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), title_justify="left")
    table.add_column("task", no_wrap=True)
    table.add_column("n", justify="right")
    for column in shown:
        table.add_column(Text(_heading(column, all_)), justify="right", overflow="fold")
    for task in tasks:
        row = [cells.get((column, task)) for column in shown]
        best = max((r.metrics.score for r in row if r), default=math.nan)
        compared = sum(r is not None for r in row) > 1
        sizes = {r.metrics.n for r in row if r}
        n = f"{min(sizes)}-{max(sizes)}" if len(sizes) > 1 else f"{min(sizes, default='')}"
        table.add_row(task, n, *(_score(r, compared and r.metrics.score == best) if r else Text("-") for r in row))
    if sum(":" not in task for task in tasks) > 1:
        table.add_section()
        table.add_row(*_average_row(shown, tasks, cells), style="bold")
    return table


def _average_row(
    shown: Sequence[_Column], tasks: Sequence[str], cells: Mapping[tuple[_Column, str], Result]
) -> Iterator[str]:
    """The mean over benchmarks (a composite counts once) and how many they are, per column where that differs."""
    composites = load_suites().composites
    means = []
    for column in shown:
        # A bridged task's metric has the scale of its framework, so it is in no average.
        own = [task for task in tasks if ":" not in task and (column, task) in cells]
        scores = {task: cells[column, task].metrics.score for task in own}
        parts = [
            [scores[part] for part in composites[name].mean] if name in composites else [scores[name]]
            for name in counted(scores, composites)
        ]
        means.append((sum(sum(part) / len(part) for part in parts) / len(parts), len(parts)) if parts else None)
    counts = {mean[1] for mean in means if mean}
    same = len(counts) <= 1
    yield f"average of {min(counts, default=0)}" if same else "average"
    yield ""
    yield from ("-" if m is None else f"{m[0]:.2f}" + ("" if same else f" (of {m[1]})") for m in means)


def _heading(column: _Column, all_: Sequence[_Column]) -> str:
    """The model, and protocol and judge where the table has several."""
    parts = [plain(column.model)]
    if len({c.protocol for c in all_}) > 1:
        parts.append(column.protocol)
    if len({c.judge for c in all_}) > 1:
        parts.append(f"judge {column.judge}")
    return "\n".join(parts)


def _score(result: Result, best: bool) -> Text:
    text = Text(f"{result.metrics.score:.2f}", "bold green" if best else "")
    error = result.metrics.stderr
    text.append("" if math.isnan(error) else f" ± {error:.2f}", "dim")
    return text


# ---------------------------------------------------------------- below the table


def _notes(results: Sequence[Result]) -> Iterator[Text]:
    editions = _listed(r.edition for r in results)
    line = f"percent ± standard error · data {editions} · protocol {_listed(r.cell.protocol for r in results)}"
    yield Text(f"{line} · judge {_listed(r.cell.judge for r in results)}", "dim")
    if any(r.edition.startswith("mini") for r in results):
        yield Text("mini: items drawn by code; these scores say nothing about the real benchmarks", "yellow")
    for task, metric in {r.cell.task: headline for r in results if (headline := _foreign_metric(r))}.items():
        yield Text(f"{task}: {metric}, in the framework's own scale unless it is a share of items", "dim")
    for result in results:
        where = f"{result.cell.task} · {plain(result.cell.model)}: "
        if result.skipped_rows:
            yield Text(f"{where}{result.skipped_rows} bad rows of the data were skipped", "yellow")
        if result.random:
            drawn = f"the protocol answered {result.random} of {result.items} items at random; "
            scores = f"{result.metrics.score:.2f} with them, {result.score_without_random:.2f} counting them wrong"
            yield Text(where + drawn + scores, "yellow")
        for state, meaning in _MEANING.items():
            count = result.states.get(state, 0)
            if count > _SHARE_SHOWN * result.items or (count and state in _ALWAYS):
                share = 100 * count / result.items
                yield Text(f"{where}{share:.1f} % {state} ({count} of {result.items}: {meaning})", "yellow")
        if result.gold_missed > _SHARE_SHOWN * result.items:
            missed = f"{100 * result.gold_missed / result.items:.1f} % scored 0 although the response states the gold"
            hint = f"{result.gold_missed} of {result.items}: `harness show RUN --audit`"
            yield Text(f"{where}{missed} ({hint})", "yellow")


def _foreign_metric(result: Result) -> str:
    """What a bridged task's score is called by its framework; empty for a task of ours."""
    bridge, colon, _ = result.cell.task.partition(":")
    return next(iter(result.metrics.groups.get(f"{bridge} metric", {})), "") if colon else ""


def _listed(values: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(values))
