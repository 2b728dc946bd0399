"""The same responses under several protocols: the spread per task, and the items on which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.api import Verdict
from harness.rescore import Flip
from harness.store import Result

_FLIPS_SHOWN = 40


def print_protocols(results: Sequence[Result], console: Console) -> None:
    """A table per model: tasks down, protocols across, spread in points. `†` marks scores with random picks."""
    models = dict.fromkeys(r.cell.model for r in results)
    protocols = list(dict.fromkeys(r.cell.protocol for r in results))
    for model in models:
        table = Table(title=f"{model}: one set of responses, scored under each protocol", title_justify="left")
        table.add_column("task", overflow="fold")
        for name in (*protocols, "spread"):
            table.add_column(name, justify="right", overflow="fold")
        tasks: dict[str, dict[str, Result]] = {}
        for result in results:
            if result.cell.model == model:
                tasks.setdefault(result.cell.task, {})[result.cell.protocol] = result
        for task, row in tasks.items():
            scores = [r.metrics.score for r in row.values()]
            shown = [_score(row.get(protocol)) for protocol in protocols]
            table.add_row(task, *shown, f"{max(scores) - min(scores):.2f}")
        console.print(table)
    if any(r.random for r in results):
        console.print("† protocol answers some items at random; in brackets the score with those items wrong")


def _score(result: Result | None) -> str:
    if result is None:
        return ""
    if not result.random:
        return f"{result.metrics.score:.2f}"
    return f"{result.metrics.score:.2f}† ({result.score_without_random:.2f})"


def print_flips(flips: Sequence[Flip], console: Console) -> None:
    """Items that are right under one protocol and wrong under another, with what each read and by which rule."""
    table = Table(title=f"{len(flips)} items on which the protocols disagree", title_justify="left", show_lines=True)
    for name in ("model", "task", "item", "protocol: score, extracted, rule"):
        table.add_column(name, overflow="fold")
    for flip in flips[:_FLIPS_SHOWN]:
        table.add_row(flip.model, flip.task, escape(flip.sample_id), _readings(flip.verdicts))
    console.print(table)
    if len(flips) > _FLIPS_SHOWN:
        console.print(f"... and {len(flips) - _FLIPS_SHOWN} more (items.parquet of the run has them all)")


def _readings(verdicts: Mapping[str, Verdict]) -> str:
    lines = []
    for protocol, verdict in verdicts.items():
        read = escape(repr(verdict.extracted[:60]))
        lines.append(f"{protocol}: {verdict.score:g}  {read}  {escape(verdict.rule)}")
    return "\n".join(lines)
