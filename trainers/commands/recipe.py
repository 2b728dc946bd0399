"""`harness recipe`: check a recipe, list the ready ones, print the schema."""

from __future__ import annotations

from pathlib import Path

import click

_EXAMPLES = """\b
Examples:
  harness recipe list
  harness recipe check my-recipe.yaml
  harness recipe schema > recipe.schema.json
"""


@click.group(epilog=_EXAMPLES)
def recipe() -> None:
    """Check a training recipe, list the ready ones, or print their JSON schema."""


@recipe.command("check", epilog=_EXAMPLES)
@click.argument("file")
def check(file: str) -> None:
    """Read a recipe (a FILE, or the name of a ready one) and show what it would do; exit 1 if it cannot be run."""
    from harness import registry
    from trainers.recipe_file import load_recipe

    read = load_recipe(file)
    methods = {method.name: registry.load("trainers", method.name) for method in read.methods}
    click.echo(f"{read.name}: {read.description}")
    _line("student", read.student.model)
    for teacher in read.teachers:
        _line("teacher", f"{teacher.model}, r from {teacher.r_max:g} to 0 by {teacher.step:g}")
    _line("data", ", ".join(read.data.sources) + (f", {read.data.questions} questions" if read.data.questions else ""))
    for name, method in methods.items():
        stages = method.resolved(read, name).stages()
        ratios = " ".join(f"{stage.ratio:g}" for stage in stages)
        _line("method", f"{name} ({method.title}), {len(stages)} stages, r = {ratios}")
    _line("seeds", " ".join(map(str, read.seeds)))
    _line("evaluation", f"suite {read.evaluation.suite} on {read.evaluation.data}")
    if read.hardware.gpus:
        _line("hardware", f"{read.hardware.gpus} GPUs with {read.hardware.memory_gb} GB each; {_gpus()}")
    for missing in _missing([read.student.model, *(teacher.model for teacher in read.teachers)], read.data.sources):
        _line("not here", missing)


@recipe.command("list", epilog=_EXAMPLES)
def list_ready() -> None:
    """List the ready recipes."""
    from trainers.recipe_file import load_recipe, ready_recipes

    for path in ready_recipes():
        click.echo(f"{path.stem:<18} {load_recipe(path).description}")


@recipe.command("schema", epilog=_EXAMPLES)
def schema() -> None:
    """Print the JSON schema of a recipe: every setting with its default."""
    import json

    from trainers.recipe import json_schema

    click.echo(json.dumps(json_schema(), indent=1))


def _line(what: str, value: str) -> None:
    click.echo(f"  {click.style(what.ljust(11), bold=True)} {value}")


def _gpus() -> str:
    import torch

    count = torch.cuda.device_count()
    return f"this machine has {count or 'none'}"


def _missing(models: list[str], sources: list[str]) -> list[str]:
    """Models and data that a run would have to fetch, or that do not exist."""
    from harness import registry

    embedded = {f"embedded/{name}" for name in registry.names("checkpoints")}
    absent = [f"model {name}" for name in dict.fromkeys(models) if name not in embedded and not Path(name).is_dir()]
    stored = [name for name in sources if name != "mini" and not name.startswith("mini:")]
    return absent + [f"data {name}" for name in stored if not Path(name).exists()]
