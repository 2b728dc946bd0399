"""`harness plan`: what a recipe will need before anything is spent."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.api import HarnessError

if TYPE_CHECKING:
    from trainers.planning.workload import Assumptions

_EXAMPLES = """\b
Examples:
  harness plan embedded --gpu cpu
  harness plan internvl3_5-8b --gpu a100-80gb --gpus 256 --questions 1500000 --price 2
  harness plan internvl3_5-8b --gpus 64 --questions 1500000 --explain
  harness plan my-recipe.yaml --config my/teacher=teacher-config.json --assume response_tokens=300
"""


@click.command(epilog=_EXAMPLES)
@click.argument("recipe")
@click.option("--gpu", default="a100-80gb", show_default=True, help="GPU by name, of the table or of --machine.")
@click.option("--gpus", type=click.IntRange(min=1), help="How many.  [default: the recipe's hardware.gpus, or 1]")
@click.option(
    "--machine", "machine_file", type=click.Path(path_type=Path, exists=True), help="Your own GPU table (YAML)."
)
@click.option("--price", type=click.FloatRange(min=0), default=0.0, help="Price of one GPU for an hour: shows cost.")
@click.option("--questions", type=click.IntRange(min=1), help="Training questions, where the data are not here.")
@click.option("--config", "configs", multiple=True, metavar="MODEL=FILE", help="config.json of a model. Repeatable.")
@click.option("--assume", "assumed", multiple=True, metavar="NAME=NUMBER", help="Another assumption. Repeatable.")
@click.option("--stages", is_flag=True, help="One row a stage instead of one a teacher.")
@click.option("--explain", is_flag=True, help="Show the formula of every figure.")
@click.option("--json", "as_json_", is_flag=True, help="Print everything as JSON.")
def plan(
    recipe: str, gpu: str, gpus: int | None, machine_file: Path | None, price: float, questions: int | None,
    configs: tuple[str, ...], assumed: tuple[str, ...], stages: bool,
    explain: bool, as_json_: bool,
) -> None:  # fmt: skip
    """Plan a RECIPE: parameters, memory, disk, tokens, hours and cost, from the models' configs alone."""
    from rich.console import Console

    from trainers.planning.assemble import as_json, make_plan
    from trainers.planning.machine import machine
    from trainers.planning.show import print_plan
    from trainers.run import plan_run

    run = plan_run(recipe)
    here = machine(gpu, gpus or run.recipe.hardware.gpus or 1, price, machine_file)
    made = make_plan(run, here, _assumptions(assumed, questions), _configs(configs))
    if as_json_:
        click.echo(as_json(made))
    else:
        print_plan(made, Console(), explain=explain, every=stages)


def _assumptions(given: tuple[str, ...], questions: int | None) -> Assumptions:
    from trainers.planning.workload import Assumptions

    kinds: dict[str, Any] = {item.name: type(item.default) for item in fields(Assumptions)}
    values: dict[str, Any] = {"questions": questions} if questions else {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in kinds:
            raise HarnessError(f"--assume {text}: no assumption is called {name!r}", f"there are {', '.join(kinds)}")
        try:
            values[name] = kinds[name](number)
        except ValueError as error:
            raise HarnessError(f"--assume {text}: {number!r} is no number", "write NAME=NUMBER") from error
    return Assumptions(**values)


def _configs(given: tuple[str, ...]) -> dict[str, Path]:
    found = {}
    for text in given:
        name, _, file = text.partition("=")
        if not Path(file).is_file():
            raise HarnessError(f"--config {text}: there is no file {file!r}", "write MODEL=FILE, FILE a config.json")
        found[name] = Path(file)
    return found
