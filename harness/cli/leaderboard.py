"""`harness leaderboard`: the scores of runs as one table."""

from __future__ import annotations

from pathlib import Path

import click

_EXAMPLES = """\b
Examples:
  harness leaderboard runs/full-mini
  harness leaderboard runs/monday runs/tuesday --suite paper --out leaderboard.csv
  harness leaderboard runs/tonight --append results/leaderboard.csv
  harness leaderboard runs/full-mini --format md

docs/leaderboard.md says what the columns are.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "md"]), default="csv", show_default=True,
              help="CSV for machines, Markdown for pages.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Write this file instead of the terminal.")
@click.option("--append", type=click.Path(path_type=Path),
              help="Add to this CSV file: rows of the same run, model, protocol and judge are replaced.")  # fmt: skip
@click.option("--suite", default="full", show_default=True, help="The average is over this suite's benchmarks.")
@click.option("--suites-file", type=click.Path(path_type=Path, exists=True), help="Suites of your own (YAML).")
def leaderboard(
    runs: tuple[Path, ...], form: str, out: Path | None, append: Path | None, suite: str, suites_file: Path | None
) -> None:
    """Write the scores of runs as CSV or Markdown."""
    from harness.report import leaderboard as boards
    from harness.report.csv_file import as_csv, write_text

    if append and (out or form != "csv"):
        raise click.UsageError("--append is a CSV file of its own: leave --out and --format out")
    if append:
        boards.write_csv(append, runs, append=True, suite=suite, suites_file=suites_file)
        return
    board = boards.read(runs, suite, suites_file)
    text = boards.markdown(board) if form == "md" else as_csv(*boards.records(board))
    if out:
        write_text(out, text)
    else:
        click.echo(text, nl=False)
