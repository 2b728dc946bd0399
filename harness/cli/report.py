"""`harness report`: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

_EXAMPLES = """\b
Examples:
  harness report runs/full-mini
  harness report runs/embedded --out report.html --compare masters naive-kd
  harness report runs/full-hub --images 100 --text 200

The file needs no network. Where a run is too large for one file, `harness view` shows all of it.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The file.  [default: RUN/report.html]")
@click.option(
    "--compare",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="A B",
    help="Models or methods to compare. Repeatable.  [default: Masters with the others and the untrained models]",
)
@click.option(
    "--images", default=20.0, show_default=True, type=click.FloatRange(0), help="Megabytes of images at most."
)
@click.option("--text", default=30.0, show_default=True, type=click.FloatRange(0), help="Megabytes of items at most.")
def report(run: Path, out: Path | None, pairs: tuple[tuple[str, str], ...], images: float, text: float) -> None:
    """Write a run as one HTML file: leaderboard, comparisons, stages, audit, items."""
    from harness.report.html import write_report

    path = out or run / "report.html"
    held = write_report(run, path, pairs=list(pairs) or None, text_mb=text, images_mb=images)
    size = path.stat().st_size / 1e6
    click.echo(f"{path}: {size:.1f} MB, {sum(held.items)} items, {held.images} images")
    if held.images_left_out:
        click.echo(f"{held.images_left_out} images are not in it; `harness view {run}` shows all")
    for reason in held.reasons:
        click.echo(reason)
