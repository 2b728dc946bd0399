"""The leaderboard: a row for each (run, model or stage, protocol, judge), a column for each benchmark.

docs/leaderboard.md documents the columns; their names are stable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.api import HarnessError, Metrics
from harness.report.csv_file import as_csv, merge, write_text
from harness.report.entries import COLUMNS, Entry
from harness.report.reported import read_reported
from harness.scoring.aggregate import standard_error
from harness.store import Result, Store
from harness.suites import Composite, counted, load_suites

KEY = ("run", "model", "protocol", "judge")
AVERAGE = ("average", "average_se", "average_n")
_FINGERPRINT = 16  # hexadecimal digits, enough to tell models apart


@dataclass(frozen=True)
class Leaderboard:
    """Entries, and the benchmarks in the order of their columns."""

    entries: Sequence[Entry]
    benchmarks: Sequence[str]


def read(
    folders: Sequence[Path | str], suite: str = "full", suites_file: Path | None = None,
    references: Sequence[Path] = (),
) -> Leaderboard:  # fmt: skip
    """The leaderboard of run folders; the average is over the benchmarks of `suite` that a row has.

    `references` are files of scores that others report (harness/report/reported.py); their rows come last.
    Raises HarnessError for a folder that is no run, and for two runs of the same name.
    """
    suites = load_suites(suites_file)
    tasks = suites.resolve(suite).tasks
    entries: list[Entry] = []
    seen: dict[str, Path] = {}
    for folder in map(Path, folders):
        name = folder.resolve().name
        if name in seen:
            raise HarnessError(
                f"two runs are called {name!r}: {seen[name]} and {folder}", "rename a folder: the name is the row's key"
            )
        seen[name] = folder
        with Store(folder, write=False) as store:
            entries.extend(entries_of(store, name, tasks, suites.composites))
    for file in references:
        entries.extend(read_reported(file, suites, suite))
    found = dict.fromkeys(name for entry in entries for name in entry.metrics)
    order = _columns(tasks, suites.composites)
    benchmarks = [name for name in order if name in found] + [name for name in found if name not in order]
    return Leaderboard(entries, benchmarks)


def entries_of(store: Store, run: str, tasks: Sequence[str], composites: Mapping[str, Composite]) -> list[Entry]:
    """The rows of one run, in the order in which its models were evaluated; the average is over those of `tasks`."""
    rows: dict[tuple[str, str, str], list[Result]] = {}
    for result in store.results():
        rows.setdefault((result.cell.model, result.cell.protocol, result.cell.judge), []).append(result)
    entries = []
    for results in rows.values():
        metrics = {r.cell.task: replace(r.metrics, units=tuple(store.units(r.cell))) for r in results}
        for name, composite in composites.items():
            if set(composite.mean) <= metrics.keys():
                metrics[name] = composite.combine(metrics)
        mean = average(metrics, counted((task for task in tasks if task in metrics), composites))
        entries.append(Entry(_who(run, results), metrics, mean))
    return entries


def _who(run: str, results: Sequence[Result]) -> dict[str, str]:
    cell, stage = results[0].cell, results[0].stage
    return {
        "run": run,
        "model": cell.model,
        "method": str(stage.get("method", "")),
        "stage": str(stage.get("name", "")),
        "protocol": cell.protocol,
        "judge": cell.judge,
        "data": "+".join(dict.fromkeys(r.edition for r in results)),
        "fingerprint": "+".join(dict.fromkeys(r.fingerprint[:_FINGERPRINT] for r in results)),
    }


def _columns(tasks: Sequence[str], composites: Mapping[str, Composite]) -> list[str]:
    """The tasks in order, each composite behind its last part."""
    order = list(tasks)
    for name, composite in composites.items():
        if set(composite.mean) <= set(order):
            order.insert(1 + max(order.index(part) for part in composite.mean), name)
    return order


def average(metrics: Mapping[str, Metrics], names: Sequence[str]) -> Metrics | None:
    """Unweighted mean of the named benchmarks (n counts them); None if there is none.

    Its standard error clusters across benchmarks (two of them may ask about the same image), each benchmark's units
    around its own mean: the benchmarks are fixed, only their items are a sample.
    """
    parts = [metrics[name] for name in names]
    if not parts:
        return None
    share = 1 / len(parts)
    centred = [
        replace(unit, score=unit.score - part.score / 100, weight=unit.weight * share)
        for part in parts
        for unit in part.units
    ]
    return Metrics(sum(part.score for part in parts) * share, 100 * standard_error(centred, 0.0), len(parts), {})


# ---------------------------------------------------------------- formats


def records(board: Leaderboard) -> tuple[list[str], list[dict[str, str]]]:
    """Column names and rows as the CSV has them; an empty cell means not evaluated (or no error bar, for n = 1).

    Where the board has reported rows, two columns at the end tell them from measured ones.
    """
    columns = [*COLUMNS, *AVERAGE]
    for name in board.benchmarks:
        columns += [name, f"{name}_se", f"{name}_n"]
    rows = []
    for entry in board.entries:
        row = dict(entry.who)
        for name, metrics in [("average", entry.average), *entry.metrics.items()]:
            if metrics is not None:
                row[name], row[f"{name}_se"] = _number(metrics.score), _number(metrics.stderr)
                row[f"{name}_n"] = str(metrics.n) if metrics.n else ""
        if any(other.source for other in board.entries):
            row |= {"origin": "reported" if entry.source else "measured", "source": entry.source}
        rows.append(row)
    return columns + ["origin", "source"] * any(entry.source for entry in board.entries), rows


def markdown(board: Leaderboard) -> str:
    """A Markdown table: score ± standard error, the average with its number of benchmarks."""
    heads = ["model", "run", "data", "protocol", "judge", "average", *board.benchmarks]
    lines = [" | ".join(heads), " | ".join([":--"] * 5 + ["--:"] * (len(heads) - 5))]
    for entry in board.entries:
        cells = [entry.who[name].replace("|", "\\|") for name in heads[:5]]
        if entry.source:
            cells[0] += f" (reported: {entry.source})".replace("|", "\\|")
        cells.append(f"{_with_error(entry.average)} ({entry.average.n})" if entry.average else "")
        cells += [_with_error(entry.metrics[b]) if b in entry.metrics else "" for b in board.benchmarks]
        lines.append(" | ".join(cells))
    return "".join(f"| {line} |\n" for line in lines)


def write_csv(
    path: Path | str, folders: Sequence[Path | str], *, append: bool = False, suite: str = "full",
    suites_file: Path | None = None, references: Sequence[Path] = (),
) -> Leaderboard:  # fmt: skip
    """Write the leaderboard of runs as CSV, whole or not at all.

    With `append`, rows of the file that have the same run, model, protocol and judge are replaced in place, others
    kept, and new columns added at the end. Two processes may append to one file.
    """
    board = read(folders, suite, suites_file, references)
    columns, rows = records(board)
    if append:
        merge(Path(path), KEY, columns, rows, _ours)
    else:
        write_text(Path(path), as_csv(columns, rows))
    return board


def _ours(header: Sequence[str]) -> set[str]:
    """The columns of a header that are the leaderboard's: a benchmark always has its error and its n beside it."""
    scores = [name for name in header if {f"{name}_se", f"{name}_n"} <= set(header)]
    return {*COLUMNS, *(f"{name}{end}" for name in scores for end in ("", "_se", "_n"))}


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _with_error(metrics: Metrics) -> str:
    return f"{metrics.score:.2f}" + ("" if math.isnan(metrics.stderr) else f" ± {metrics.stderr:.2f}")
