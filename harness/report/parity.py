"""A certificate of parity for the terminal: a line a task, where the answers part, the outcome with its reasons."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.parity import Certificate, Divergence, Outcome, TaskParity
from harness.report.plain import plain

_SHOWN = 10
_COLOURS = {Outcome.PARITY: "green", Outcome.DIFFERS: "red", Outcome.UNDECIDED: "yellow"}


def print_parity(certificate: Certificate, console: Console) -> None:
    """Print it."""
    a, b = (plain(str(side["label"])) for side in certificate.sides)
    table = Table(title=Text(f"A = {a}\nB = {b}"), title_justify="left", box=None, pad_edge=False)
    headings = ("task", "items", "prompts", "images", "settings", "answers", "ties", "max gap", "verdicts", "A", "B")
    for heading in headings:
        table.add_column(Text(heading), justify="left" if heading == "task" else "right")
    for part in certificate.tasks:
        table.add_row(*_row(part))
    console.print(table)
    for d in certificate.divergences[:_SHOWN]:
        console.print(_line(d), highlight=False, markup=False, soft_wrap=True)
    more = len(certificate.divergences) - _SHOWN
    if more > 0:
        console.print(f"... and {more} more in the manifest", markup=False)
    console.print(Text(str(certificate.outcome), style=f"bold {_COLOURS[certificate.outcome]}"))
    for reason in certificate.reasons:
        console.print(f"  {reason}", highlight=False, markup=False, soft_wrap=True)


def _row(part: TaskParity) -> list[str]:
    return [
        part.task,
        str(part.items),
        _share(part.prompts_same, part.prompts_compared),
        _share(part.images_same, part.images_compared),
        _share(part.settings_same, part.items),
        _share(part.answers_same, part.answers_compared),
        str(part.ties),
        f"{part.gap:.1e}",
        _share(part.verdicts_same, part.items),
        f"{part.score_a:.2f}",
        f"{part.score_b:.2f}",
    ]


def _share(same: int, compared: int) -> str:
    return f"{same}/{compared}" if compared else "-"


def _line(d: Divergence) -> str:
    def side(token: int | None, logprob: float | None) -> str:
        if token is None:
            return "ended"
        return f"{token}" if logprob is None else f"{token} ({logprob:.4f})"

    kind = "tie" if d.tie else "parts"
    margin = "" if d.margin is None else f", margin {d.margin:.5f}"
    tokens = f"{side(d.token_a, d.logprob_a)} and {side(d.token_b, d.logprob_b)}"
    return f"{kind}: {plain(d.task)} {plain(d.id)} at token {d.place}: {tokens}{margin}"
