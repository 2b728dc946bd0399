"""`harness run`: evaluate checkpoints, or train and evaluate what a recipe names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.evaluation import Evaluator
    from harness.store import Result

_EXAMPLES = """\b
Examples:
  harness run --suite full                      the embedded default: every task, drawn by code, offline
  harness run --tasks chartqa,mmstar --model Qwen/Qwen2.5-VL-3B-Instruct --data hub
  harness run --suite paper --model ./my-checkpoint --data ~/LMUData --limit 200
  harness run --recipe recipes/embedded.yaml --out runs/tonight

The same command again resumes: what is stored is never inferred twice.
"""


@click.command(epilog=_EXAMPLES)
@click.option("--suite", help="Suite of tasks (`harness suites` lists them).  [default: full]")
@click.option("--suites-file", type=click.Path(path_type=Path, exists=True), help="Suites of your own (YAML).")
@click.option("--tasks", help="Tasks by name, separated by commas, instead of a suite.")
@click.option("--model", "models", multiple=True, help="Checkpoint: folder, hub id or embedded/NAME. Repeatable.")
@click.option("--recipe", type=click.Path(path_type=Path, exists=True), help="Train what this recipe names, too.")
@click.option("--data", default="mini", show_default=True, help="mini, hub, or a folder with the benchmarks' files.")
@click.option("--protocol", default="official", show_default=True, help="How to ask and score (`harness protocols`).")
@click.option("--judge", default="rule", show_default=True, help="Judge where a rule cannot decide, e.g. openai:MODEL.")
@click.option("--backend", default="hf", show_default=True, help="Engine that answers (`harness models`).")
@click.option("--batch-tokens", type=click.IntRange(min=1), help="Tokens a batch may hold, prompt and answer.")
@click.option("--limit", type=click.IntRange(min=1), help="About this many items a task, spread over its categories.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/SUITE-DATA]")
@click.option("--max-error-rate", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Share of items in state error above which the exit code is 1.")  # fmt: skip
@click.option("--skip-bad-rows", is_flag=True, help="Count rows that cannot be read instead of stopping at them.")
@click.option("--reasoning-tags", default="think,analysis", show_default=True,
              help="Tags whose blocks are cut from a response before scoring; 'none' keeps them.")  # fmt: skip
def run(
    suite: str | None, suites_file: Path | None, tasks: str | None, models: tuple[str, ...], recipe: Path | None,
    data: str, protocol: str, judge: str, backend: str, batch_tokens: int | None, limit: int | None, out: Path | None,
    max_error_rate: float, skip_bad_rows: bool, reasoning_tags: str,
) -> None:  # fmt: skip
    """Evaluate models on a suite of benchmarks, or train and evaluate a recipe."""
    from rich.console import Console

    from harness.evaluation import Evaluator, finish_run
    from harness.progress import bars
    from harness.scoring.reasoning import parse_tags
    from harness.store import Store
    from harness.suites import load_suites

    if suite and tasks:
        raise click.UsageError("give --suite or --tasks, not both")
    chosen = load_suites(suites_file).resolve(tasks.split(",") if tasks else suite or "full")
    folder = out or Path("runs") / f"{suite or 'full' if not tasks else 'tasks'}-{Path(data).name}"
    arguments = dict(click.get_current_context().params, tasks=chosen.tasks, out=str(folder))
    console = Console()
    with Store(folder) as store, bars(console) as progress:
        store.set_meta(arguments=_plain(arguments), data=data)
        evaluator = Evaluator(
            store, data=data, protocol=protocol, judge=judge, limit=limit or chosen.limit,
            skip_bad_rows=skip_bad_rows, reasoning_tags=parse_tags(reasoning_tags), progress=progress,
        )  # fmt: skip
        options = {"batch_tokens": batch_tokens} if batch_tokens else {}
        results = _evaluate(evaluator, models or _default_models(), backend, options, chosen.tasks)
        finish_run(store, _plain(arguments))
    _show(results, folder, console)
    _check_errors(results, max_error_rate, folder)


def _default_models() -> list[str]:
    """The embedded ladder, smallest first."""
    from harness import registry

    return [f"embedded/{name}" for name in registry.names("checkpoints")]


def _evaluate(
    evaluator: Evaluator, models: Sequence[str], backend: str, options: dict[str, Any], tasks: Sequence[str]
) -> list[Result]:
    from harness import registry

    open_model = registry.load("models", backend)
    results: list[Result] = []
    for spec in models:
        results.extend(evaluator.evaluate(open_model(spec, **options), tasks))
    return results


def _show(results: Sequence[Result], folder: Path, console: Console) -> None:
    from harness.report.leaderboard import write_csv
    from harness.report.table import print_results

    print_results(results, console)
    write_csv(folder / "leaderboard.csv", [folder])
    console.print(f"[dim]run[/] {folder}   [dim]table[/] {folder / 'leaderboard.csv'}", highlight=False)


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
    return {name: str(value) if isinstance(value, Path) else value for name, value in arguments.items()}
