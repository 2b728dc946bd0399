"""`harness zoo build`, `table` and `pad`: make the embedded ladder, show what it can do, serve it by vLLM on a CPU."""

from __future__ import annotations

from pathlib import Path

import click

from trainers.zoo.config import LADDER_FILE

_EXAMPLES = """\b
Examples:
  harness zoo build --out ladder
  harness zoo build --out ladder student mid
  harness zoo build --out half --share 0.5
  harness zoo table --split validation --rows 100 student large
  harness zoo pad large
  vllm serve $(harness zoo pad large) --served-model-name large
"""


@click.group(epilog=_EXAMPLES)
def zoo() -> None:
    """The embedded ladder: tiny models of a real architecture, trained on the mini edition."""


@zoo.command(epilog=_EXAMPLES)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the checkpoints; resumes there.")
@click.option("--ladder", type=click.Path(path_type=Path, exists=True), default=LADDER_FILE, help="Another recipe.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="CPU threads of torch.")
@click.option("--share", type=click.FloatRange(0, min_open=True), default=1.0, help="Of every rung's steps (below).")
@click.argument("names", nargs=-1)
def build(out: Path, ladder: Path, threads: int, share: float, names: tuple[str, ...]) -> None:
    """Train the rungs NAMES (default: all) from scratch; finished ones are kept.

    --share 0.5 trains each with half of its steps, into a folder of its own: what the other half brings says how near
    a rung is to its plateau.
    """
    import torch

    from trainers.zoo.build import build_ladder
    from trainers.zoo.config import load_ladder

    torch.set_num_threads(threads)
    for folder in build_ladder(load_ladder(ladder).shortened(share), out, names):
        click.echo(str(folder))


@zoo.command(epilog=_EXAMPLES)
@click.option(
    "--weights", type=click.Path(path_type=Path, exists=True), help="Checkpoints.  [default: the shipped ones]"
)
@click.option("--split", default="test", show_default=True, help="Mini split.")
@click.option("--rows", type=click.IntRange(min=1), default=400, show_default=True, help="Rows of each task.")
@click.argument("names", nargs=-1)
def table(weights: Path | None, split: str, rows: int, names: tuple[str, ...]) -> None:
    """Right answers by task and rung, with standard errors (rows one by one: no circular groups)."""
    from trainers.zoo import NAMES, WEIGHTS
    from trainers.zoo.evaluate import print_table

    print_table(weights or WEIGHTS, names or NAMES, split, rows)


@zoo.command(epilog=_EXAMPLES)
@click.argument("name")
def pad(name: str) -> None:
    """Print the folder of a copy of the rung NAME that vLLM's kernels for a CPU can compute: they know attention heads
    of 32 and more, the ladder's have 16 or 24. (--backend vllm pads by itself.)
    """
    from harness.models.load import EMBEDDED, resolve
    from harness.models.pad_heads import CPU_WIDTHS, padded

    click.echo(str(padded(resolve(EMBEDDED + name), CPU_WIDTHS)))
