"""A comparison as a table for the terminal, for Markdown and as CSV records."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from harness.compare import Comparison, Row

_WIDE = 120  # columns of a terminal that shows everything
_LEFT_OUT = ("n", "p", "won-lost", "detectable", "gap recovered")  # in a narrower one
_HEADINGS = ("task", "n", "{a}", "{b}", "difference", "95 % interval", "p", "p Holm", "won-lost", "detectable")


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print scores, differences in points with intervals, and what the numbers can and cannot show."""
    headings, lines = _cells(comparison)
    shown = (
        range(len(headings)) if console.width >= _WIDE else [headings.index(h) for h in headings if h not in _LEFT_OUT]
    )
    table = Table(title=f"{comparison.a} against {comparison.b}", title_justify="left", box=None, pad_edge=False)
    for column in shown:
        table.add_column(headings[column], justify="left" if column == 0 else "right", no_wrap=True)
    for line, row in zip(lines, [*comparison.rows, None], strict=True):
        bold = row is None or row.p_holm <= 0.05
        table.add_row(*(line[column] for column in shown), style="bold" if bold else None)
    console.print(table)
    for note in notes(comparison):
        console.print(note, highlight=False)


def markdown(comparison: Comparison) -> str:
    """The same table as Markdown."""
    headings, lines = _cells(comparison)
    out = [f"### {comparison.a} against {comparison.b}", "", _line(headings), "|---|" + "---:|" * (len(headings) - 1)]
    out += [_line(line) for line in lines]
    return "\n".join([*out, "", *(f"- {note}" for note in notes(comparison)), ""])


def records(comparison: Comparison) -> list[dict[str, object]]:
    """A record a task, for CSV: stable names."""
    return [
        {
            "a": comparison.a, "b": comparison.b, "task": row.task, "score_a": row.score_a, "score_b": row.score_b,
            "difference": row.difference.points, "low": _interval(row)[0], "high": _interval(row)[1],
            "p": row.seeds.p if row.seeds else row.difference.p, "p_holm": row.p_holm,
            "p_mcnemar": row.difference.p_mcnemar, "won": row.difference.won, "lost": row.difference.lost,
            "units": row.difference.units, "clusters": row.difference.clusters,
            "detectable": row.difference.detectable,
            "gap_recovered": row.recovered.share if row.recovered else None,
            "gap_low": row.recovered.low if row.recovered else None,
            "gap_high": row.recovered.high if row.recovered else None,
        }
        for row in comparison.rows
    ]  # fmt: skip


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know about the numbers."""
    real = [row.task for row in comparison.rows if row.p_holm <= 0.05]
    seeds = next((len(row.seeds.means) for row in comparison.rows if row.seeds), 1)
    told = [
        f"differences in points, {comparison.a} minus {comparison.b}, paired by item, clustered by image; "
        + (f"{seeds} training seeds as a random effect" if seeds > 1 else "one model each: training seeds not counted"),
        f"clear after Holm's correction over {len(comparison.rows)} tasks: {', '.join(real) or 'none'}",
        "detectable: the smallest true difference found with 80 % power",
    ]
    return [*told, *(f"warning: {warning}" for warning in comparison.warnings)]


def _cells(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    recovered = any(row.recovered for row in comparison.rows)
    headings = [heading.format(a=comparison.a, b=comparison.b) for heading in _HEADINGS]
    lines = [_row(row) for row in comparison.rows]
    overall = comparison.overall
    mean_a, mean_b = comparison.averages
    lines.append(
        [f"average of {comparison.counted}", "", f"{mean_a:.2f}", f"{mean_b:.2f}", f"{overall.points:+.2f}",
         f"{overall.low:+.2f} to {overall.high:+.2f}", f"{overall.p:.3f}", "", "", ""]
    )  # fmt: skip
    if recovered:
        headings.append("gap recovered")
        for line, row in zip(lines, comparison.rows, strict=False):
            line.append(_gap(row))
        lines[-1].append("")
    return headings, lines


def _row(row: Row) -> list[str]:
    low, high = _interval(row)
    p = row.seeds.p if row.seeds else row.difference.p
    d = row.difference
    return [
        row.task, str(d.units), f"{row.score_a:.2f}", f"{row.score_b:.2f}", f"{d.points:+.2f}",
        f"{low:+.2f} to {high:+.2f}", f"{p:.3f}", f"{row.p_holm:.3f}", f"{d.won}-{d.lost}", f"{d.detectable:.1f}",
    ]  # fmt: skip


def _interval(row: Row) -> tuple[float, float]:
    return (row.seeds.low, row.seeds.high) if row.seeds else (row.difference.low, row.difference.high)


def _gap(row: Row) -> str:
    if row.recovered is None:
        return ""
    if math.isnan(row.recovered.low):
        return "no clear gap"
    return f"{row.recovered.share:.0%} ({row.recovered.low:.0%}..{row.recovered.high:.0%})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
