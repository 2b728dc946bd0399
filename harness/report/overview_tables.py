"""The overview of a recipe's run on a terminal of any width, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.compare import Comparison
from harness.report.overview import Line, Overview
from harness.report.plain import plain

_COLUMN, _FIRST = 9, 18  # columns of the terminal for a model and for the task
_ROOM = 96  # columns of a terminal that shows the parts of each method
_PARTS = {"mid": "mid", "mask": "mask", "multi": "mul-\nti", "reward": "re-\nward"}  # a part's heading, in short lines


def print_overview(found: Overview, console: Console) -> None:
    """Print scores, what each method gains, and the average by stage, each within the terminal's width."""
    fit = max(2, (console.width - _FIRST) // _COLUMN)
    for start in range(0, len(found.models), fit):
        shown = found.models[start : start + fit]
        title = "scores in percent (last stage; mean over seeds)" if start == 0 else ""
        table = _table(title, ["task", *(_wrapped(_short(name, found.models)) for name in shown)])
        for task, cells in _scores(found, shown):
            table.add_row(task, *cells, end_section=task == found.tasks[-1])
        console.print(table, "")
    for title, heads, rows in (_methods(found, parts=console.width >= _ROOM), _by_stage(found)):
        table = _table(title, [head if "\n" in head else _wrapped(head) for head in heads])
        for row in rows:
            table.add_row(*row, style="bold" if row[0] == found.main else None)
        console.print(table, "")
    for note in _notes(found):
        console.print(note, style="dim", highlight=False)


def overview_markdown(found: Overview) -> str:
    """The same tables as Markdown."""
    out = ["## Overview", ""]
    heads, rows = ["task", *found.models], [[task, *map(str, cells)] for task, cells in _scores(found, found.models)]
    tables = [("scores in percent (last stage; mean over seeds)", heads, rows), _methods(found), _by_stage(found)]
    for title, head, lines in tables:
        head = [name.replace("-\n", "").replace("\n", " ") for name in head]
        out += [f"{title[0].upper()}{title[1:]}", "", _line(head), "|---|" + "---:|" * (len(head) - 1)]
        out += [*map(_line, lines), ""]
    return "\n".join([*out, *(f"- {note}" for note in _notes(found)), ""])


def _scores(found: Overview, shown: Sequence[str]) -> Iterator[tuple[str, list[Text]]]:
    """A row a task, then the average; the best of the trained methods and their start is bold."""
    students = [found.student, *(line.method for line in found.lines)]
    rows = [(task, {name: found.scores[name][task] for name in found.models}) for task in found.tasks]
    for task, row in [*rows, (f"average of {found.counted}", dict(found.averages))]:
        best = max(row[name] for name in students if name in row)
        yield task, [Text(f"{row[n]:.1f}", "bold green" if n in students and row[n] == best else "") for n in shown]


def _methods(found: Overview, *, parts: bool = True) -> tuple[str, list[str], list[list[str]]]:
    shown = _PARTS if parts else {}
    heads = ["method", *shown.values(), "mean", "minus student\n(95 % interval)",
             f"{plain(found.main)} minus it\n(95 % interval)", "p", "clear"]  # fmt: skip
    rows = []
    for line in found.lines:
        marks = ["x" if line.parts[part] else "-" for part in shown]
        rows.append([
            _starred(line), *marks, f"{found.averages[line.method]:.1f}", _difference(line.over_student),
            _difference(line.main_over), f"{line.main_over.overall.p:.2f}" if line.main_over else "",
            _clear(line.main_over),
        ])  # fmt: skip
    return "methods", heads, rows


def _starred(line: Line) -> str:
    return line.method + "*" * line.other_budget


def _difference(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    overall = comparison.overall
    return f"{overall.points:+.1f} ({overall.low:+.1f}, {overall.high:+.1f})"


def _clear(comparison: Comparison | None) -> str:
    """Tasks won and lost beyond doubt."""
    if comparison is None:
        return ""
    real = [row.difference.points > 0 for row in comparison.rows if row.p_holm <= 0.05]
    return f"{sum(real)}-{len(real) - sum(real)}"


def _by_stage(found: Overview) -> tuple[str, list[str], list[list[str]]]:
    rows = [[name, *("" if v is None else f"{v:.1f}" for v in values)] for name, values in found.stages.items()]
    return "average after each stage, on the items that all stages were scored on", ["method", *found.stage_heads], rows


def _notes(found: Overview) -> Iterator[str]:
    seeds = sorted({line.seeds for line in found.lines})
    several = f"{seeds[-1]} training seeds as a random effect" if seeds[-1] > 1 else "one training seed, not counted"
    yield (
        f"Differences of the averages in points, paired by item, clustered by image; {several}. p is not corrected for"
        " the number of methods."
    )
    yield (
        "mid: several teachers in turn; mask: masked teachers; multi: several responses a question; reward: a policy"
        f" term. clear: tasks on which {found.main} is above and below it after Holm's correction."
    )
    if any(line.other_budget for line in found.lines):
        yield f"* spent another budget of responses, tokens or steps than {found.main}."
    others = [line for line in found.lines if line.method != found.main]
    other = next((line.method for line in others if not line.other_budget), others[0].method if others else "")
    if other:
        yield f"Task by task: harness compare RUN --a {found.main} --b {other}"


def _wrapped(name: str) -> str:
    """A name broken at its hyphens, slashes and blanks into lines of at most eight letters where that is possible."""
    lines = [""]
    for part in plain(name).replace("-", "-\0").replace("/", "/\0").replace(" ", "\0").split("\0"):
        joined = lines[-1] + (" " if lines[-1] and lines[-1][-1] not in "-/" else "") + part
        if lines[-1] and len(joined) > _COLUMN - 1:
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(lines)


def _short(name: str, names: Sequence[str]) -> str:
    """The name without its folder, where that is enough to tell it from the others."""
    last = name.rpartition("/")[2]
    return last if sum(other.rpartition("/")[2] == last for other in names) == 1 else name


def _table(title: str, heads: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False,
                  padding=(0, 1, 0, 0), show_edge=False)  # fmt: skip
    for place, head in enumerate(heads):
        table.add_column(
            Text(head), justify="right" if place else "left", no_wrap=place > 0, overflow="fold", vertical="bottom"
        )
    return table


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
