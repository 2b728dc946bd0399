"""`harness audit`: could the numbers of a table have been measured?"""

from __future__ import annotations

from pathlib import Path

import click

_EXAMPLES = """\b
Examples:
  harness audit results/reference/paper_table1.csv results/reference/paper_table2.csv
  harness audit their-table.csv --items realworldqa=765 --items mmmu=900
  harness audit their-table.csv --json findings.json

\b
Checks, all with allowance for rounding: scores that no number of right answers gives (grim, needs --items), averages
that are not the mean of their row, two rows that differ by a constant, a row at a fixed fraction between two others,
equal rows and cells, one name with two sets of numbers. docs/audit.md explains them.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("tables", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--items", multiple=True, metavar="NAME=N",
              help="Questions of a benchmark that counts right answers. Repeatable.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the findings as JSON, too.")
def audit(tables: tuple[Path, ...], items: tuple[str, ...], json_file: Path | None) -> None:
    """Check tables of scores for numbers that measurements hardly give."""
    import json
    from dataclasses import asdict

    from harness.audit import audit as check
    from harness.audit import read_table
    from harness.report.csv_file import write_text
    from harness.report.plain import plain

    table = read_table(tables)
    findings = check(table, dict(map(_item, items)))
    for finding in findings:
        click.echo(
            f"{click.style(finding.check, bold=True)}: {plain(' | '.join(finding.rows))}\n  {plain(finding.told)}"
        )
    click.echo(f"{len(findings)} findings in {len(table.models)} rows and {len(table.benchmarks)} benchmarks")
    if json_file:
        write_text(json_file, json.dumps([asdict(f) for f in findings], indent=1, ensure_ascii=False) + "\n")


def _item(word: str) -> tuple[str, int]:
    name, _, count = word.partition("=")
    if not count.isdigit() or int(count) < 1:
        raise click.BadParameter(f"{word!r} is not NAME=N", param_hint="--items")
    return name, int(count)
