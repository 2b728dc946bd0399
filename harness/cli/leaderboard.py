"""`harness leaderboard`: the scores of runs as one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.report.leaderboard import Leaderboard

_EXAMPLES = """\b
Examples:
  harness leaderboard runs/full-mini
  harness leaderboard runs/monday runs/tuesday --suite paper --out leaderboard.csv
  harness leaderboard runs/tonight --append results/leaderboard.csv
  harness leaderboard runs/full-mini --format md
  harness leaderboard runs/paper-hub --reference results/reference/paper_table1.csv --format latex

docs/leaderboard.md says what the columns are.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "md", "html", "latex"]), default="csv", show_default=True,
              help="CSV for machines, Markdown or HTML for pages, LaTeX for papers.")  # fmt: skip
@click.option("--reference", "references", multiple=True, type=click.Path(path_type=Path),
              help="CSV file of scores that others report; the rows say so. Repeatable.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Write this file instead of the terminal.")
@click.option("--append", type=click.Path(path_type=Path),
              help="Add to this CSV file: rows of the same run, model, protocol and judge are replaced.")  # fmt: skip
@click.option("--suite", default="full", show_default=True, help="The average is over this suite's benchmarks.")
@click.option("--suites-file", type=click.Path(path_type=Path, exists=True), help="Suites of your own (YAML).")
def leaderboard(
    runs: tuple[Path, ...], form: str, references: tuple[Path, ...], out: Path | None, append: Path | None, suite: str,
    suites_file: Path | None,
) -> None:  # fmt: skip
    """Write the scores of runs as CSV, Markdown, HTML or LaTeX."""
    from harness.report import leaderboard as boards
    from harness.report.csv_file import write_text

    if not runs and not references:
        raise click.UsageError("name a run, or a file with --reference")
    if append and (out or form != "csv"):
        raise click.UsageError("--append is a CSV file of its own: leave --out and --format out")
    if append:
        boards.write_csv(append, runs, append=True, suite=suite, suites_file=suites_file, references=references)
        return
    board = boards.read(runs, suite, suites_file, references)
    text = _text(board, form)
    if out:
        write_text(out, text)
    else:
        click.echo(text, nl=False)


def _text(board: Leaderboard, form: str) -> str:
    from harness.report import board_formats
    from harness.report import leaderboard as boards
    from harness.report.csv_file import as_csv

    if form == "csv":
        return as_csv(*boards.records(board))
    write = {"md": boards.markdown, "html": board_formats.html, "latex": board_formats.latex}[form]
    return write(board)
