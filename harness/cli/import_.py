"""`harness import`: a run of responses that another framework stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.data.imports import FORMATS

if TYPE_CHECKING:
    from harness.data.imports.samples import Imported

_EXAMPLES = """\b
Examples:
  harness import mmmu example_outputs/qwen_vl --out runs/qwen-vl
  harness import mmmu-pro gpt-4o_vision_direct.jsonl --task mmmu_pro_vision --out runs/gpt-4o
  harness import mathvista output_bard.json --out runs/bard
  harness import mmvet llava-7b.json --grades llava-7b_gpt-4-grade-1runs.json --items MMVet.xlsx --out runs/llava
  harness import vlmevalkit vila_8b_MMStar.xlsx --task mmstar --out runs/vila
  harness import lmms-eval 20260801_samples_mmmu_val.jsonl --task mmmu --data ~/hf --out runs/mine
  harness score runs/qwen-vl --protocol all

\b
Formats:
"""
_WIDTH = max(map(len, FORMATS)) + 2
_FORMATS = "".join(f"  {name.ljust(_WIDTH)}{form.help}\n" for name, form in FORMATS.items())


@click.command("import", epilog=_EXAMPLES + _FORMATS)
@click.argument("format", type=click.Choice(list(FORMATS)), metavar="FORMAT")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Run folder; further imports join it.")
@click.option("--task", help="The benchmark (needed where the format can hold several).")
@click.option("--model", help="Name of the model in tables.  [default: the name of PATH]")
@click.option("--items", type=click.Path(path_type=Path, exists=True),
              help="VLMEvalKit table (xlsx, tsv) with the items, where PATH does not state them.")  # fmt: skip
@click.option("--data", help="The same from a data set: mini, hub or a folder, as --data of `harness run`.")
@click.option("--grades", type=click.Path(path_type=Path, exists=True), help="The judge's grades (MM-Vet).")
def import_(
    format: str, path: Path, out: Path, task: str | None, model: str | None, items: Path | None, data: str | None,
    grades: Path | None,
) -> None:  # fmt: skip
    """Make a run of responses that another framework stored."""
    from rich.console import Console

    from harness import registry
    from harness.data.imports import read
    from harness.data.imports.samples import assemble
    from harness.evaluation import finish_run
    from harness.importing import import_responses
    from harness.report.table import print_results
    from harness.store import Store

    chosen = registry.task(_task(format, task))
    imported = assemble(chosen, read(format, path, grades), items=items, data=data)
    name = model or path.stem
    with Store(out) as store:
        result = import_responses(store, chosen, name, imported)
        finish_run(store, {"import": format, "path": str(path), "task": chosen.name, "model": name})
    print_results([result], Console())
    _notes(imported, out)


def _task(format: str, task: str | None) -> str:
    """The task that was named, if the format can hold it; a format of one task needs no name."""
    known = FORMATS[format].tasks
    if task is None and len(known) == 1:
        return known[0]
    if task is None:
        raise click.UsageError(f"--task is needed: {', '.join(known) or 'one of `harness tasks`'}")
    if known and task not in known:
        raise click.UsageError(f"the format {format} holds {', '.join(known)}, not {task}")
    return task


def _notes(imported: Imported, out: Path) -> None:
    if imported.left_out:
        click.echo(f"{imported.left_out} records are no items of the task and were left out")
    if imported.repeated:
        click.echo(f"{imported.repeated} records repeat an item; its first response counts")
    if imported.stand_in:
        click.echo("the file does not state the items' texts; --items or --data gives them")
    if imported.judged:
        click.echo(f"{len(imported.judged)} answers of upstream's judge are kept: --judge recorded uses them")
    click.echo(f"next: harness score {out} --protocol all" + (" --judge recorded" if imported.judged else ""))
