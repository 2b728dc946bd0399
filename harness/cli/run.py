"""`harness run`: evaluate checkpoints, or train and evaluate what a recipe names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from harness.evaluation import Evaluator
    from harness.store import Result

    class RecipePlan(Protocol):
        """What a recipe says about its evaluation."""

        tasks: Sequence[str]
        data: str


EMBEDDED = "embedded"
_SECRET = re.compile(r"(?is)^([^=]*(?:key|secret|password|(?<!_)token))=.*")

_EXAMPLES = """\b
Examples:
  harness run --suite full                      the embedded default: trains and compares three methods, offline
  harness run --suite full --model embedded/student --model embedded/large
  harness run --tasks chartqa,mmstar --model Qwen/Qwen2.5-VL-3B-Instruct --data hub
  harness run --suite paper --model ./my-checkpoint --data ~/LMUData --limit 200
  harness run --suite full --model ./my-checkpoint --backend vllm --backend-option tensor_parallel_size=4
  harness run --suite full --model ./my-checkpoint --backend ray --ray-address head:6379 --backend-option workers=16
  harness run --model embedded/large --ablate blank --ablate shuffle
  harness run --recipe recipes/embedded.yaml --out runs/tonight

The same command again resumes: what is stored is never inferred twice.
"""


@click.command(epilog=_EXAMPLES)
@click.option("--suite", help="Suite of tasks (`harness suites` lists them).  [default: full]")
@click.option("--suites-file", type=click.Path(path_type=Path, exists=True), help="Suites of your own (YAML).")
@click.option("--tasks", help="Tasks by name, separated by commas, instead of a suite.")
@click.option("--model", "models", multiple=True, help="Checkpoint: folder, hub id or embedded/NAME. Repeatable.")
@click.option("--recipe", help="Train what this recipe names and evaluate every stage: a YAML file or a ready"
              " one's name.  [default, without --model: embedded]")  # fmt: skip
@click.option(
    "--data",
    help="mini, mini:validation, hub, or a folder with the benchmarks' files.  [default: mini, or the recipe's]",
)
@click.option("--protocol", default="official", show_default=True, help="How to ask and score (`harness protocols`).")
@click.option("--judge", default="rule", show_default=True, help="Judge where a rule cannot decide, e.g. openai:MODEL.")
@click.option("--backend", default="hf", show_default=True, help="Engine that answers (`harness models`).")
@click.option("--backend-option", "backend_options", multiple=True, metavar="NAME=VALUE",
              help="An option of the backend (`harness models show BACKEND`). Repeatable.")  # fmt: skip
@click.option("--ray-address", metavar="HOST:PORT", help="Head of the Ray cluster, for --backend ray.  [default:"
              " RAY_ADDRESS, else this machine]")  # fmt: skip
@click.option("--batch-tokens", type=click.IntRange(min=1), help="Tokens a batch may hold, prompt and answer.")
@click.option("--limit", type=click.IntRange(min=1), help="About this many items a task, spread over its categories.")
@click.option("--ablate", multiple=True, type=click.Choice(["blank", "shuffle", "blur"]),
              help="Evaluate with changed images, too, and show what seeing brings. Repeatable.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/SUITE-DATA]")
@click.option("--max-error-rate", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Share of items in state error above which the exit code is 1.")  # fmt: skip
@click.option("--skip-bad-rows", is_flag=True, help="Count rows that cannot be read instead of stopping at them.")
@click.option("--reasoning-tags", default="think,analysis", show_default=True,
              help="Tags whose blocks are cut from a response before scoring; 'none' keeps them.")  # fmt: skip
def run(
    suite: str | None, suites_file: Path | None, tasks: str | None, models: tuple[str, ...], recipe: str | None,
    data: str | None, protocol: str, judge: str, backend: str, backend_options: tuple[str, ...],
    ray_address: str | None, batch_tokens: int | None, limit: int | None, ablate: tuple[str, ...], out: Path | None,
    max_error_rate: float, skip_bad_rows: bool, reasoning_tags: str,
) -> None:  # fmt: skip
    """Evaluate models on a suite of benchmarks, or train and evaluate a recipe."""
    from rich.console import Console

    from harness import deferred
    from harness.evaluation import Evaluator, finish_run
    from harness.models.options import parse_options
    from harness.progress import bars
    from harness.scoring.reasoning import parse_tags
    from harness.store import Store
    from harness.suites import load_suites

    if suite and tasks:
        raise click.UsageError("give --suite or --tasks, not both")
    if recipe and models:
        raise click.UsageError("a recipe names its own models: give --recipe or --model, not both")
    if ablate and not models:
        raise click.UsageError("--ablate needs --model: a recipe's checkpoints can be named with it afterwards")
    if backend_options and not models:
        raise click.UsageError("--backend-option needs --model: a recipe says itself how its models run")
    if ray_address and backend != "ray":
        raise click.UsageError("--ray-address needs --backend ray")
    if backend == "hf":  # the other engines use what would be deferred
        deferred.enable()
    options = parse_options(backend_options) | ({"address": ray_address} if ray_address else {})
    if batch_tokens:
        options["batch_tokens"] = batch_tokens
    job = _Job(models, recipe or ("" if models else EMBEDDED), backend, options, ablate)
    named = tasks.split(",") if tasks else [suite] if suite else None
    chosen = load_suites(suites_file).resolve(named or job.tasks())
    items = data or job.data()
    folder = out or Path("runs") / job.folder(suite, tasks, items)
    if int(os.environ.get("RANK", "0")):  # one of several processes that `harness launch` started
        job.follow(folder, limit or chosen.limit)
        return
    arguments = dict(click.get_current_context().params, tasks=chosen.tasks, data=items, out=str(folder))
    console = Console()
    with Store(folder) as store, bars(console) as progress:
        evaluator = Evaluator(
            store, data=items, protocol=protocol, judge=judge, limit=limit or chosen.limit,
            skip_bad_rows=skip_bad_rows, reasoning_tags=parse_tags(reasoning_tags), progress=progress,
        )  # fmt: skip
        store.set_meta(arguments=_plain(arguments))  # not before they were accepted: a refused one may hold a key
        results = job.results(evaluator, console, chosen.tasks, limit or chosen.limit)
        changed = finish_run(store, _plain(arguments))
        usage = store.meta().get("usage", {})
    _show(results, folder, console, changed)
    _show_usage(usage, console)
    if ablate:
        _show_gains(results, folder, console)
    _check_errors(results, max_error_rate, folder)


@dataclass(frozen=True)
class _Job:
    """What the command line asks for: models to evaluate, or a recipe to train and evaluate."""

    models: tuple[str, ...]
    recipe: str
    backend: str
    options: Mapping[str, Any]
    ablate: tuple[str, ...]

    def tasks(self) -> Sequence[str]:
        """What is evaluated where the command line names neither tasks nor suite."""
        return self._plan().tasks if self.recipe else ["full"]

    def data(self) -> str:
        """Where items come from where the command line does not say."""
        return self._plan().data if self.recipe else "mini"

    def folder(self, suite: str | None, tasks: str | None, data: str) -> str:
        """A name for the run folder that the same command finds again."""
        what = "tasks" if tasks else suite or (Path(self.recipe).stem if self.recipe else "full")
        return f"{what}-{Path(data).name}"

    def results(
        self, evaluator: Evaluator, console: Console, tasks: Sequence[str], limit: int | None
    ) -> Sequence[Result]:
        """Do it."""
        from harness import registry

        if self.recipe:
            found: list[Result] = registry.load("recipes", "run")(
                self.recipe, evaluator, console, tasks=tasks, limit=limit
            )
            return found
        from harness.models.options import close_model, open_model

        results = []
        for model in (open_model(self.backend, spec, self.options) for spec in self.models):
            results += evaluator.evaluate(model, tasks)
            for kind in self.ablate:
                from harness.ablate import ablated

                results += evaluator.evaluate(ablated(model, kind, evaluator, tasks), tasks)
            close_model(model)
        return results

    def follow(self, folder: Path, limit: int | None) -> None:
        """Do what a process does that is not the first: train with the first, and leave run folder and table to it."""
        from harness import registry
        from harness.api import HarnessError

        if not self.recipe:
            raise HarnessError(
                "several processes were launched to evaluate", "start one: it fills its device by itself"
            )
        registry.load("recipes", "follow")(self.recipe, folder, limit=limit)

    def _plan(self) -> RecipePlan:
        from harness import registry

        plan: RecipePlan = registry.load("recipes", "plan")(self.recipe)
        return plan


def _show(results: Sequence[Result], folder: Path, console: Console, changed: bool) -> None:
    """Print the table (of trained methods the last stages only); write leaderboard, comparison and report, where the
    run has changed or they are missing.
    """
    from harness.report.html import write_report
    from harness.report.leaderboard import write_csv
    from harness.report.table import print_results

    print_results([r for r in results if "method" not in r.stage or r.stage.get("last")], console)
    board, report = folder / "leaderboard.csv", folder / "report.html"
    if not changed and _written_after(folder / "manifest.json", board, report):
        console.print("[dim]nothing has changed in[/]", board, report, highlight=False, soft_wrap=True)
        return
    write_csv(board, [folder])
    comparison = _compare(folder) if any("method" in result.stage for result in results) else []
    write_report(folder, report)
    console.print("[dim]written[/]", board, *comparison, report, highlight=False, soft_wrap=True)


def _written_after(manifest: Path, *files: Path) -> bool:
    """Whether all of the files were made of the finished run: a kill may have come between it and them."""
    finished = manifest.stat().st_mtime_ns
    return all(file.is_file() and file.stat().st_mtime_ns >= finished for file in files)


def _show_usage(usage: Mapping[str, Mapping[str, float]], console: Console) -> None:
    """What served models spent on this run so far, all its calls together."""
    for model, spent in usage.items():
        cost = f", cost {spent['cost']:.4f}" if "cost" in spent else ""
        console.print(
            f"{model}: {spent['requests']:,.0f} requests, {spent['retries']:,.0f} of them asked again,"
            f" {spent['prompt_tokens']:,.0f} prompt and {spent['completion_tokens']:,.0f} answer tokens{cost}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip


def _compare(folder: Path) -> list[Path]:
    """Write comparison.md, where there are several methods: all of them, then Masters (else the last) against every
    other whose budget is the same.
    """
    from harness.compare import Refused, compare_sides, main_method, methods_of, read_sides
    from harness.report.comparison import markdown
    from harness.report.overview import overview
    from harness.report.overview_tables import overview_markdown

    sides = read_sides([folder])
    methods = methods_of(sides)
    if len(methods) < 2:
        return []
    mine = main_method(methods)
    parts = [overview_markdown(overview(folder, sides))]
    for other in (method for method in methods if method != mine):
        try:
            parts.append(markdown(compare_sides(sides, mine, other)))
        except Refused as refused:
            parts.append(f"### {mine} against {other}\n\nNot compared: {refused.message}\n")
    out = folder / "comparison.md"
    out.write_text("\n".join(parts))
    return [out]


def _show_gains(results: Sequence[Result], folder: Path, console: Console) -> None:
    from harness.ablate import gains
    from harness.report.gain import print_gains
    from harness.store import Store

    with Store(folder, write=False) as store:
        print_gains(gains(store, results), console)


def _check_errors(results: Sequence[Result], allowed: float, folder: Path) -> None:
    """Fail loudly when models or judges failed on more items than allowed."""
    from harness.api import HarnessError

    items = sum(r.items for r in results)
    errors = sum(r.errors for r in results)
    if items and errors / items > allowed:
        raise HarnessError(
            f"{errors} of {items} items ended in state error",
            f"`harness show {folder} --task TASK --state error` says why; the same command again retries only those",
        )


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the run keeps them: paths as text, and no value of an option that is called a key."""
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in arguments.items()}
    if "backend_options" in plain:
        plain["backend_options"] = [_SECRET.sub(r"\1=***", option) for option in plain["backend_options"]]
    return plain
