"""`harness parity`: do two backends, or two settings of one, give the same table?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api import HarnessError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.parity import Certificate, Side

_EXAMPLES = """\b
Examples:
  harness parity embedded/large vllm:embedded/large --tasks chartqa,mmstar --limit 50
  harness parity embedded/large 'embedded/large?batch_tokens=1'
  harness parity ./ckpt 'vllm:./ckpt?tensor_parallel_size=4&gpu_memory_utilization=0.8' --suite smoke --tolerance 0.1
  harness parity vllm:./ckpt 'openai:my-model?base_url=http://localhost:8000/v1' --data ~/LMUData

\b
Exit code: 0 PARITY, 1 DIFFERS, 2 UNDECIDED (a side does not show enough), 3 BROKEN (could not be compared).
docs/scale.md says what is compared and which tolerance fits which number format.
"""
_WIDE = 110  # characters of the table, also where a log is written


@click.command(epilog=_EXAMPLES)
@click.argument("a")
@click.argument("b")
@click.option("--suite", help="Suite of tasks (`harness suites` lists them).  [default: smoke]")
@click.option("--tasks", help="Tasks by name, separated by commas, instead of a suite.")
@click.option("--data", default="mini", show_default=True, help="mini, hub, or a folder with the benchmarks' files.")
@click.option("--protocol", default="official", show_default=True, help="How to ask and score (`harness protocols`).")
@click.option("--judge", default="rule", show_default=True, help="Judge where a rule cannot decide.")
@click.option("--limit", type=click.IntRange(min=1), help="About this many items a task, spread over its categories.")
@click.option("--tolerance", type=click.FloatRange(min=0, min_open=True), default=0.01, show_default=True,
              help="By how much log-probabilities of a token may differ.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/parity-A-B]")
def parity(
    a: str, b: str, suite: str | None, tasks: str | None, data: str, protocol: str, judge: str, limit: int | None,
    tolerance: float, out: Path | None,
) -> None:  # fmt: skip
    """Let two backends answer the same items and certify that they give the same table, or say where they part.

    A and B are [BACKEND:]CHECKPOINT[?option=value&option=value], hf where no backend is named. The certificate is
    written into the manifest of a run that holds both sides' answers.
    """
    from rich.console import Console as Terminal

    from harness.parity import Outcome
    from harness.report.parity import print_parity

    if suite and tasks:
        raise click.UsageError("give --suite or --tasks, not both")
    console = Terminal()
    console.width = max(console.width, _WIDE)
    folder = out or Path("runs") / f"parity-{_slug(a)}-{_slug(b)}"
    named = tasks.split(",") if tasks else [suite or "smoke"]
    try:
        found = _certify(_side(a, ""), _side(b, " (2)" if a == b else ""), named, folder, console, limit, tolerance,
                         {"data": data, "protocol": protocol, "judge": judge})  # fmt: skip
    except HarnessError as error:
        if click.get_current_context().find_root().params["debug"]:
            raise
        raise _Broken(error) from error
    print_parity(found, console)
    console.print("[dim]written[/]", folder / "manifest.json", highlight=False, soft_wrap=True)
    codes = {Outcome.PARITY: 0, Outcome.DIFFERS: 1, Outcome.UNDECIDED: 2}
    click.get_current_context().exit(codes[found.outcome])


class _Broken(click.ClickException):
    """Nothing could be compared."""

    exit_code = 3

    def __init__(self, error: HarnessError) -> None:
        super().__init__(f"{error.message}\n  remedy: {error.remedy}" if error.remedy else error.message)


def _certify(
    a: Side, b: Side, named: list[str], folder: Path, console: Console, limit: int | None, tolerance: float,
    conditions: dict[str, str],
) -> Certificate:  # fmt: skip
    from harness.evaluation import Evaluator, finish_run
    from harness.parity import parity as certify
    from harness.progress import bars
    from harness.store import Store
    from harness.suites import load_suites

    chosen = load_suites(None).resolve(named)
    most = limit or chosen.limit
    with Store(folder) as store, bars(console) as progress:
        evaluator = Evaluator(
            store, data=conditions["data"], protocol=conditions["protocol"], judge=conditions["judge"], limit=most,
            progress=progress,
        )  # fmt: skip
        found = certify(evaluator, a, b, chosen.tasks, tolerance=tolerance, conditions={**conditions, "limit": most})
        finish_run(store, {**conditions, "a": a.label, "b": b.label, "tasks": list(chosen.tasks), "limit": most})
    return found


def _side(spec: str, mark: str) -> Side:
    from harness.models.options import open_model, parse_model
    from harness.parity import Side

    backend, checkpoint, options = parse_model(spec)
    described = {"backend": backend, "checkpoint": checkpoint, "options": options}
    return Side(spec + mark, lambda: open_model(backend, checkpoint, options), described)


def _slug(spec: str) -> str:
    """A spec as part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", spec).strip("-")[:60]
