"""`harness plan`: what a recipe will need before anything is spent."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.api import HarnessError

if TYPE_CHECKING:
    from trainers.planning.assemble import RunPlan
    from trainers.planning.workload import Assumptions
    from trainers.run import Plan

_EXAMPLES = """\b
Examples:
  harness plan embedded --gpu cpu
  harness plan internvl3_5-8b --gpu a100-80gb --gpus 256 --questions 1500000 --price 2
  harness plan internvl3_5-8b --gpus 64 --questions 1500000 --explain
  harness plan internvl3_5-8b --questions 1500000 --method masters --sweep 1024 --plot bounds.html
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
@click.option("--method", "methods", multiple=True, help="Only this method of the recipe. Repeatable.")
@click.option(
    "--sweep", type=click.IntRange(min=1), help="Simulate 1, 2, 4, ... up to so many GPUs: what bounds the run."
)
@click.option("--plot", type=click.Path(path_type=Path), help="With --sweep: write the picture, an .html or .svg file.")
@click.option("--explain", is_flag=True, help="Show the formula of every figure.")
@click.option("--json", "as_json_", is_flag=True, help="Print everything as JSON.")
def plan(
    recipe: str, gpu: str, gpus: int | None, machine_file: Path | None, price: float, questions: int | None,
    configs: tuple[str, ...], assumed: tuple[str, ...], stages: bool,
    methods: tuple[str, ...], sweep: int | None, plot: Path | None, explain: bool, as_json_: bool,
) -> None:  # fmt: skip
    """Plan a RECIPE: parameters, memory, disk, tokens, hours and cost, from the models' configs alone."""
    from rich.console import Console

    from trainers.planning.assemble import as_json, make_plan
    from trainers.planning.machine import machine
    from trainers.planning.show import print_plan
    from trainers.run import plan_run

    if plot and not sweep:
        raise click.UsageError("--plot draws a --sweep: give the largest number of GPUs, as --sweep 1024")
    run = _only(plan_run(recipe), methods)
    here = machine(gpu, gpus or run.recipe.hardware.gpus or 1, price, machine_file)
    made = make_plan(run, here, _assumptions(assumed, questions), _configs(configs))
    if sweep:
        _sweep(made, sweep, plot, as_json_)
    elif as_json_:
        click.echo(as_json(made))
    else:
        print_plan(made, Console(), explain=explain, every=stages)


def _only(run: Plan, methods: tuple[str, ...]) -> Plan:
    """The run with the named methods only."""
    if not methods:
        return run
    for name in methods:
        run.recipe.for_method(name)  # an unknown one is told with those that there are
    kept = [method for method in run.recipe.methods if method.name in methods]
    return replace(run, recipe=run.recipe.model_copy(update={"methods": kept}))


def _sweep(made: RunPlan, largest: int, plot: Path | None, as_json_: bool) -> None:
    import json

    from rich.console import Console

    from trainers.planning.plot import write_plot
    from trainers.planning.show import print_sweep
    from trainers.planning.sweep import powers, sweep

    points = sweep(made, powers(largest))
    if as_json_:
        click.echo(json.dumps([asdict(point) for point in points], indent=1))
    else:
        print_sweep(made, points, Console())
    if plot:
        write_plot(points, f"{made.setting.recipe.name} on {made.setting.machine.name}", plot)
        click.echo(f"picture: {plot}", err=as_json_)


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
