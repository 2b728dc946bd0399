"""`harness explain`: one item, from its prompt to its verdict under every protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from harness.explain import Explained

_EXAMPLES = """\b
Examples:
  harness explain runs/full-mini 17 --task chartqa
  harness explain runs/full-mini validation_Art_1 --model embedded/student
  harness explain imported v1_3 --judge recorded
  harness explain runs/mine 17 --task mmstar --data ~/LMUData      with the sizes of the images
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("item")
@click.option("--task", help="The item of this task only (ids repeat between tasks).")
@click.option("--model", help="The answer of this model only.")
@click.option("--judge", default="rule", show_default=True, help="Judge where a rule cannot decide.")
@click.option("--data", help="Data that has the images, to show their sizes.")
def explain(run: Path, item: str, task: str | None, model: str | None, judge: str, data: str | None) -> None:
    """Show one item: prompt, response, verdict under every protocol.

    The prompt is that of the protocol under which the run asked. `=` marks a verdict that the run keeps.
    """
    from rich.console import Console

    from harness.explain import explain as explained
    from harness.store import Store

    console = Console()
    with Store(run, write=False) as store:
        for found in explained(store, item, task=task, model=model, judge=judge):
            _print(found, data, console)


def _print(found: Explained, data: str | None, console: Console) -> None:
    from harness.report.plain import plain

    where = " · ".join(plain(part) for part in (found.task, found.sample.id, found.model))
    click.echo(click.style(where, bold=True))
    cut = {"length": "  [cut at the token limit]", "error": f"  [error: {found.response.error}]"}
    fields = {
        "prompt": found.request.text,
        "images": "\n".join(_images(found, data)),
        "gold": found.sample.answer,
        "response": found.response.text + cut.get(found.response.finish, ""),
        "read": found.read if found.read != found.response.text else "",
    }
    for name, value in fields.items():
        if value:
            lines = plain(value).splitlines()
            click.echo(f"  {click.style(name.ljust(9), dim=True)} " + f"\n{' ' * 12}".join(lines))
    _print_verdicts(found, console)
    click.echo()


def _images(found: Explained, data: str | None) -> list[str]:
    """A line for each image of the prompt: hash, and size where the data are at hand."""
    shown = [image.sha256 for image in found.request.images]
    if data is None or not shown:
        return [f"{sha256[:16]}" for sha256 in shown]
    from harness.explain import image_sizes

    sizes = image_sizes(found.task, found.sample.id, data)
    return [f"{s[:16]}  {sizes[s][0]} x {sizes[s][1]}" if s in sizes else f"{s[:16]}  not in {data}" for s in shown]


def _print_verdicts(found: Explained, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from harness.report.plain import plain

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), header_style="bold")
    for name in ("protocol", "state", "score", "extracted", "rule"):
        table.add_column(name, overflow="fold")
    for protocol, verdict in found.verdicts.items():
        kept = " =" if protocol in found.stored else ""
        rule = f"{verdict.rule}{', drawn at random' if verdict.random else ''}"
        cells = (protocol + kept, str(verdict.state), f"{verdict.score:g}", repr(verdict.extracted[:80]), rule)
        table.add_row(*(Text(plain(cell)) for cell in cells))
        if verdict.note:
            table.add_row("", "", "", "", Text(plain(verdict.note), "dim"))
    console.print(table)
    click.echo("  readings tried, in order:")
    for protocol, tried in found.tried.items():
        steps = " ; ".join(f"{step.rule} gave {step.returned}" for step in tried) or "none: no rule looks at it"
        click.echo(plain(f"    {protocol}: {steps}"))
