"""`harness export`: a run in another framework's format."""

from __future__ import annotations

from pathlib import Path

import click

from harness.export import FORMATS

_EXAMPLES = """\b
Examples:
  harness export runs/full-mini --to inspect --out logs && inspect view --log-dir logs
  harness export runs/full-mini --to vlmeval --task mmstar --out tables
  harness export runs/full-mini --to lmms-eval --out samples

\b
Formats:
"""
_WIDTH = max(map(len, FORMATS)) + 2
_LISTED = "".join(f"  {name.ljust(_WIDTH)}{form.help}\n" for name, form in FORMATS.items())


@click.command(epilog=_EXAMPLES + _LISTED)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "form", required=True, type=click.Choice(list(FORMATS)), help="The format.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the files.")
@click.option("--task", help="This task only.")
@click.option("--model", help="This model only.")
@click.option("--protocol", help="Verdicts of this protocol.  [default: the one that was asked]")
@click.option("--data", help="Where the items lie, if not where the run had them: mini, hub or a folder.")
@click.option("--xlsx", is_flag=True, help="VLMEvalKit's predictions as .xlsx.")
def export(
    run: Path, form: str, out: Path, task: str | None, model: str | None, protocol: str | None, data: str | None,
    xlsx: bool,
) -> None:  # fmt: skip
    """Write a run in another framework's format."""
    from harness.export import export_run

    if xlsx and form != "vlmeval":
        raise click.UsageError("--xlsx belongs to --to vlmeval")
    options = {"xlsx": True} if xlsx else {}
    for path in export_run(run, form, out, task=task, model=model, protocol=protocol, data=data, **options):
        click.echo(path)
