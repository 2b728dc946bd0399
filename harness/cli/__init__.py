"""The command line: one file per verb, imported only when its verb is called, so that `harness --help` is instant."""

from __future__ import annotations

import signal
from importlib import import_module
from typing import NamedTuple

import click

from harness import __version__, interrupt, registry
from harness.api import HarnessError
from harness.cli.machine import of_machine


class Verb(NamedTuple):
    """A verb of ours: "module:command" and its help in one line (a test compares it with the command's own)."""

    target: str
    help: str


VERBS = {
    "run": Verb("harness.cli.run:run", "Evaluate models on a suite of benchmarks, or train and evaluate a recipe."),
    "score": Verb(
        "harness.cli.score:score", "Score stored responses again, under one protocol or all; no model is asked."
    ),
    "compare": Verb(
        "harness.cli.compare:compare", "Compare models or methods on the same items: differences, intervals, p."
    ),
    "parity": Verb(
        "harness.cli.parity:parity",
        "Let two backends answer the same items and certify that they give the same table, or say where they part.",
    ),
    "gate": Verb("harness.cli.gate:gate", "Say GO, NO-GO or INCONCLUSIVE about a run, by its exit code."),
    "audit": Verb("harness.cli.audit:audit", "Check tables of scores for numbers that measurements hardly give."),
    "leaderboard": Verb(
        "harness.cli.leaderboard:leaderboard", "Write the scores of runs as CSV, Markdown, HTML or LaTeX."
    ),
    "report": Verb(
        "harness.cli.report:report", "Write a run as one HTML file: leaderboard, comparisons, stages, audit, items."
    ),
    "view": Verb(
        "harness.cli.view:view", "Serve a run's report on this machine; items are loaded as they are looked at."
    ),
    "show": Verb("harness.cli.show:show", "Read the items of a run: question, response, rule, verdict."),
    "explain": Verb("harness.cli.explain:explain", "Show one item: prompt, response, verdict under every protocol."),
    "import": Verb("harness.cli.import_:import_", "Make a run of responses that another framework stored."),
    "export": Verb("harness.cli.export:export", "Write a run in another framework's format."),
    "bridge": Verb("harness.cli.bridge:bridge", "Set up lmms-eval and VLMEvalKit, whose tasks `harness run` can run."),
    "tasks": Verb("harness.cli.tasks:tasks", "List the benchmarks, or show one."),
    "suites": Verb("harness.cli.suites:suites", "List the suites of benchmarks, or show one."),
    "protocols": Verb("harness.cli.protocols:protocols", "List the scoring protocols, or show one."),
    "models": Verb("harness.cli.models:models", "List the embedded checkpoints and the backends, or show one."),
    "judge": Verb("harness.cli.judge:judge", "Measure how far a judge can be trusted."),
    "judges": Verb("harness.cli.judges:judges", "List the judges, or show one."),
    "trainers": Verb("harness.cli.trainers:trainers", "List the training methods, or show one."),
    "doctor": Verb("harness.cli.doctor:doctor", "Say what is installed, what is missing and how to get it."),
}


class Failure(click.ClickException):
    """A HarnessError as the user sees it: one sentence and its remedy."""

    def __init__(self, error: HarnessError) -> None:
        super().__init__(error.message)
        self.remedy = error.remedy

    def show(self, file: object = None) -> None:
        """Write to stderr; colour only on a terminal."""
        click.echo(f"{click.style('error:', fg='red', bold=True)} {self.message}", err=True)
        if self.remedy:
            click.echo(f"  {click.style('remedy:', bold=True)} {self.remedy}", err=True)


class Verbs(click.Group):
    """The verbs of VERBS, then those that plug-ins register as entry points of the group `harness.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours in the order of VERBS, then the plug-ins'."""
        return [*VERBS, *(name for name in registry.names("commands") if name not in VERBS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module now."""
        if cmd_name in VERBS:
            module, _, name = VERBS[cmd_name].target.partition(":")
            command: click.Command = getattr(import_module(module), name)
            return command
        return _plugin(cmd_name) if cmd_name in registry.names("commands") else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line a verb; ours are not imported for it. A plug-in that cannot be loaded says so in its line."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])
        others = [name for name in self.list_commands(ctx) if name not in VERBS]
        if others:
            with formatter.section("Commands of plug-ins"):
                formatter.write_dl([(name, _plugin_help(name)) for name in others])

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; what the user can act on is shown as a sentence, not as a traceback."""
        try:
            with interrupt.listening():
                return super().invoke(ctx)
        except (HarnessError, OSError, MemoryError, RuntimeError) as error:
            told = error if isinstance(error, HarnessError) else of_machine(error)
            if told is None or ctx.params["debug"]:
                raise
            raise Failure(told) from error
        except KeyboardInterrupt as error:
            click.echo("\nstopped; run the same command again to resume", err=True)
            ctx.exit(error.exit_code if isinstance(error, interrupt.Stopped) else 128 + signal.SIGINT)


def _plugin(name: str) -> click.Command:
    command = registry.load("commands", name)
    if not isinstance(command, click.Command):
        raise HarnessError(
            f"the entry point harness.commands:{name} is not a click command but {type(command).__name__}",
            "tell the author of the plug-in",
        )
    return command


def _plugin_help(name: str) -> str:
    try:
        return _plugin(name).get_short_help_str(limit=100)
    except HarnessError as error:
        return f"({error.message})"


_EXAMPLES = """\b
Examples:
  harness run                                   every benchmark, drawn by code, on the embedded models, offline
  harness run --tasks chartqa --model embedded/student --limit 20
  harness tasks
"""


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=_EXAMPLES,
)
@click.version_option(__version__, prog_name="harness")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Masters Harness: score vision-language models, and every stage of their distillation."""
