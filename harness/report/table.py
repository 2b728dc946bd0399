"""The table that a run prints: benchmarks as rows, models as columns, and below it what a reader must know."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.api import State
from harness.report.plain import plain
from harness.store import Result
from harness.suites import counted, load_suites

_SHARE_SHOWN = 0.01  # a state that is not `scored` is named below the table when it has more than this share
_ALWAYS = (State.JUDGE_FAILED, State.ERROR)  # named however few they are
_FIRST = 32  # columns of the terminal for the task with its n
_CELL, _NARROW = 18, 11  # for a model: with its standard error, and without it, which is how many models fit
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

    @classmethod
    def of(cls, result: Result) -> _Column:
        """The column of a result."""
        return cls(result.cell.model, result.cell.protocol, result.cell.judge)


def print_results(results: Sequence[Result], console: Console) -> None:
    """Print scores in percent ± standard error, one column a model; where they do not fit, without the errors, and
    in a further table where that does not fit either. A trained model's column is named after its method.

    Below: edition, protocol, judge, and an audit: states above 1 %, skipped rows, items answered at random.
    """
    if not results:
        console.print("no results yet")
        return
    cells = {(_Column.of(r), r.cell.task): r for r in results}
    columns = list(dict.fromkeys(column for column, _ in cells))
    tasks = list(dict.fromkeys(task for _, task in cells))
    headings = _headings(results)
    errors = len(columns) * _CELL <= console.width - _FIRST or len(columns) == 1
    fit = max(1, (console.width - _FIRST) // (_CELL if errors else _NARROW))
    for start in range(0, len(columns), fit):
        console.print(_table(columns[start : start + fit], headings, tasks, cells, errors))
    for line in _notes(results, errors):
        console.print(line, soft_wrap=True)


def _table(
    shown: Sequence[_Column], headings: Mapping[_Column, str], tasks: Sequence[str],
    cells: Mapping[tuple[_Column, str], Result], errors: bool,
) -> Table:  # fmt: skip
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), title_justify="left")
    table.add_column("task", no_wrap=True)
    table.add_column("n", justify="right")
    for column in shown:
        table.add_column(Text(headings[column]), justify="right", overflow="fold")
    for task in tasks:
        row = [cells.get((column, task)) for column in shown]
        every = [result.metrics.score for (_, of), result in cells.items() if of == task]
        best, compared = max(every), len(every) > 1
        sizes = {r.metrics.n for r in row if r}
        n = f"{min(sizes)}-{max(sizes)}" if len(sizes) > 1 else f"{min(sizes, default='')}"
        scores = (_score(r, compared and r.metrics.score == best, errors) if r else Text("-") for r in row)
        table.add_row(task, n, *scores)
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


def _headings(results: Sequence[Result]) -> dict[_Column, str]:
    """The model, or the method that trained it, and what else tells the columns apart: seed, stage, protocol, judge."""
    stages = {_Column.of(r): r.stage if "method" in r.stage else {} for r in results}
    trained = [stage for stage in stages.values() if stage]
    seeds = len({stage["seed"] for stage in trained}) > 1
    several = len({(stage["method"], stage["seed"]) for stage in trained}) < len(
        {c.model for c, s in stages.items() if s}
    )
    found = {}
    for column, stage in stages.items():
        name = stage["method"] + (f" s{stage['seed']}" if seeds else "") if stage and not several else column.model
        parts = [plain(name)]
        if len({c.protocol for c in stages}) > 1:
            parts.append(column.protocol)
        if len({c.judge for c in stages}) > 1:
            parts.append(f"judge {column.judge}")
        found[column] = "\n".join(parts)
    return found


def _score(result: Result, best: bool, with_error: bool) -> Text:
    text = Text(f"{result.metrics.score:.2f}", "bold green" if best else "")
    error = result.metrics.stderr
    text.append("" if math.isnan(error) or not with_error else f" ± {error:.2f}", "dim")
    return text


# ---------------------------------------------------------------- below the table


def _notes(results: Sequence[Result], with_errors: bool) -> Iterator[Text]:
    errors = [r.metrics.stderr for r in results if not math.isnan(r.metrics.stderr)]
    unit = "percent ± standard error" if with_errors else "percent"
    if not with_errors and errors:
        unit += f" (standard errors {min(errors):.1f} to {max(errors):.1f}: leaderboard.csv has them)"
    line = f"{unit} · data {_listed(r.edition for r in results)} · protocol {_listed(r.cell.protocol for r in results)}"
    yield Text(f"{line} · judge {_listed(r.cell.judge for r in results)}", "dim")
    if any(r.edition.startswith("mini") for r in results):
        yield Text("mini: items drawn by code; these scores say nothing about the real benchmarks", "yellow")
    for task, metric in {r.cell.task: headline for r in results if (headline := _foreign_metric(r))}.items():
        yield Text(f"{task}: {metric}, in the framework's own scale unless it is a share of items", "dim")
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    headings = {column: " ".join(name.split()) for column, name in _headings(results).items()}
    for result in results:
        for kind, text in _remarks(result):
            found.setdefault((result.cell.task, kind), []).append((headings[_Column.of(result)], text))
    for (task, kind), those in found.items():
        names = ", ".join(name for name, _ in those)
        if len(those) == 1:
            yield Text(f"{task} · {names}: {those[0][1]}", "yellow")
        else:
            yield Text(f"{task} · {len(those)} models: {kind} ({names})", "yellow")


def _remarks(result: Result) -> Iterator[tuple[str, str]]:
    """What a reader must know of one result: the kind, for a line that names several models, and the sentence."""
    if result.skipped_rows:
        rows = f"{result.skipped_rows} bad rows of the data were skipped"
        yield rows, rows
    if result.random:
        drawn = f"the protocol answered {result.random} of {result.items} items at random"
        scores = f"{result.metrics.score:.2f} with them, {result.score_without_random:.2f} counting them wrong"
        yield drawn, f"{drawn}; {scores}"
    for state, meaning in _MEANING.items():
        count = result.states.get(state, 0)
        if count > _SHARE_SHOWN * result.items or (count and state in _ALWAYS):
            share = 100 * count / result.items
            kind = (
                f"above {100 * _SHARE_SHOWN:.0f} % {state}: {meaning}"
                if state not in _ALWAYS
                else f"{state}: {meaning}"
            )
            yield kind, f"{share:.1f} % {state} ({count} of {result.items}: {meaning})"
    if result.gold_missed > _SHARE_SHOWN * result.items:
        missed, hint = "scored 0 although the response states the gold", "`harness show RUN --audit`"
        percent = 100 * result.gold_missed / result.items
        count_of = f"{result.gold_missed} of {result.items}"
        yield f"above {100 * _SHARE_SHOWN:.0f} % {missed}: {hint}", f"{percent:.1f} % {missed} ({count_of}: {hint})"


def _foreign_metric(result: Result) -> str:
    """What a bridged task's score is called by its framework; empty for a task of ours."""
    bridge, colon, _ = result.cell.task.partition(":")
    return next(iter(result.metrics.groups.get(f"{bridge} metric", {})), "") if colon else ""


def _listed(values: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(values))
