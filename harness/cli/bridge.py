"""`harness bridge`: the environments of lmms-eval and VLMEvalKit, whose tasks `harness run` can run."""

from __future__ import annotations

import click

_EXAMPLES = """\b
Examples:
  harness bridge install lmms-eval
  harness bridge tasks vlmeval POPE
  harness run --tasks lmms-eval:mme,vlmeval:HallusionBench --model ./my-checkpoint --data hub
  lmms-eval --model harness --model_args model=./my-checkpoint,backend=hf --tasks mme   (in lmms-eval's environment)
"""
NAMES = click.Choice(["lmms-eval", "vlmeval"])


@click.group(epilog=_EXAMPLES)
def bridge() -> None:
    """Set up lmms-eval and VLMEvalKit, whose tasks `harness run` can run."""


@bridge.command(epilog=_EXAMPLES)
@click.argument("framework", type=NAMES)
def install(framework: str) -> None:
    """Install a framework with its pins into an environment of its own (7 GB, about five minutes, once)."""
    from harness.bridges.environments import FRAMEWORKS, folder_of
    from harness.bridges.environments import install as install_framework

    found = FRAMEWORKS[framework]
    click.echo(f"{' '.join(found.requirements)} into {folder_of(found)}")
    python = install_framework(found)
    click.echo(f"ready; `harness bridge tasks {framework}` lists its tasks, {python.parent} holds its own commands")


@bridge.command(epilog=_EXAMPLES)
@click.argument("framework", type=NAMES)
@click.argument("words", nargs=-1)
@click.option("--data", default="hub", show_default=True, help="A folder with task files of your own, or hub.")
def tasks(framework: str, words: tuple[str, ...], data: str) -> None:
    """List a framework's tasks whose names hold all WORDS, as `harness run --tasks` takes them."""
    from harness.bridges.tasks import task_names

    for name in task_names(framework, data):
        if all(word.lower() in name.lower() for word in words):
            click.echo(f"{framework}:{name}")
