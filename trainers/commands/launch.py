"""`harness launch`: the command that trains a recipe in several processes, on one node or on many."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api import HarnessError

if TYPE_CHECKING:
    from trainers.recipe import Recipe

_EXAMPLES = """\b
Examples:
  harness launch recipes/internvl3_5-8b.yaml --gpus 8                      print the command of one node
  harness launch my-recipe.yaml --gpus 8 --run                             run it here
  harness launch my-recipe.yaml --nodes 4 --gpus 8 --rendezvous node0:29500    the same line on every node
  harness launch my-recipe.yaml --gpus 2 --run --out runs/two -- --limit 50    the rest goes to `harness run`
  srun --ntasks-per-node 1 bash -c "$(harness launch R --nodes 4 --gpus 8 --rendezvous $HEAD:29500)"

Without GPUs the processes compute on the CPU and speak gloo. The run folder must be one that all nodes see.
docs/scale.md has whole SLURM and Kubernetes files.
"""


@click.command(epilog=_EXAMPLES, context_settings={"ignore_unknown_options": True})
@click.argument("recipe")
@click.argument("run_options", nargs=-1, type=click.UNPROCESSED)
@click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True, help="Machines.")
@click.option("--gpus", type=click.IntRange(min=1), help="Processes on each machine, one a GPU.  [default: what the"
              " recipe expects, over the nodes]")  # fmt: skip
@click.option("--rendezvous", metavar="HOST:PORT", help="Where the nodes meet; needed for more than one.")
@click.option("--restarts", type=click.IntRange(min=0), default=0, show_default=True,
              help="Start again so often after a failure; the training goes on from its last saved state.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Run folder, seen by all nodes.")
@click.option("--run", "now", is_flag=True, help="Run the command instead of printing it.")
def launch(
    recipe: str, run_options: tuple[str, ...], nodes: int, gpus: int | None, rendezvous: str | None, restarts: int,
    out: Path | None, now: bool,
) -> None:  # fmt: skip
    """Print the command that trains RECIPE on several devices or machines, or run it."""
    from trainers.recipe_file import load_recipe

    read = load_recipe(recipe)
    processes = gpus or max(1, read.hardware.gpus // nodes)
    _check(read, nodes, processes, rendezvous)
    options = [*(["--out", str(out)] if out else []), *run_options]
    command = [
        *torchrun(nodes, processes, rendezvous, restarts, read.name), "-m", "harness", "run", "--recipe", recipe,
        *options,
    ]  # fmt: skip
    if not now:
        click.echo(shlex.join(command))
        return
    raise SystemExit(subprocess.run([sys.executable, *command[1:]], check=False).returncode)  # noqa: S603


def torchrun(nodes: int, processes: int, rendezvous: str | None, restarts: int, name: str) -> list[str]:
    """How PyTorch starts the processes; nothing of it for one process alone."""
    if nodes * processes == 1:
        return ["python"]
    found = ["python", "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    if nodes == 1:
        found.append("--standalone")
    else:
        found += ["--nnodes", str(nodes), "--rdzv-backend", "c10d", "--rdzv-id", name]
        found += ["--rdzv-endpoint", str(rendezvous)]
    return [*found, *(["--max-restarts", str(restarts)] if restarts else [])]


def _check(recipe: Recipe, nodes: int, processes: int, rendezvous: str | None) -> None:
    if nodes > 1 and not rendezvous:
        raise HarnessError(f"{nodes} nodes must know where to meet", "add --rendezvous HOST:PORT, a port of one node")
    if recipe.train.engine == "single" and nodes * processes > 1:
        raise HarnessError(
            f"recipe {recipe.name} asks for train.engine: single, and {nodes * processes} processes are to be launched",
            "leave train.engine out (ddp), or set zero2 or zero3",
        )
