"""The visual gain as a table for the terminal: score with the images, score without, difference with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.ablate import Gain
from harness.report.plain import plain


def print_gains(gains: Sequence[Gain], console: Console) -> None:
    """One table a model; a gain whose interval holds 0 is dim: nothing shows that the model looks."""
    for model in dict.fromkeys(gain.model for gain in gains):
        table = Table(title=Text(f"visual gain of {plain(model)}"), title_justify="left", box=None, pad_edge=False)
        for heading in ("task", "ablation", "score", "blind", "gain", "95 % interval"):
            table.add_column(heading, justify="left" if heading in ("task", "ablation") else "right")
        for gain in (gain for gain in gains if gain.model == model):
            d = gain.difference
            interval = f"{d.low:+.2f} to {d.high:+.2f}"
            shown = f"{gain.score:.2f}", f"{gain.blind:.2f}", f"{d.points:+.2f}", interval
            table.add_row(gain.task, gain.kind, *shown, style=None if d.low > 0 or d.high < 0 else "dim")
        console.print(table)
