"""`harness mask-study`: what a teacher is still worth with a share of its weights masked, and which r_max follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.api import Unit

_EXAMPLES = """\b
Examples:
  harness mask-study embedded/large --limit 100
  harness mask-study OpenGVLab/InternVL3_5-38B-HF --tasks mmstar,chartqa --data hub --tolerance 2
"""


@click.command("mask-study", epilog=_EXAMPLES)
@click.argument("model")
@click.option("--suite", default="full", show_default=True, help="Suite of tasks.")
@click.option("--tasks", help="Tasks by name, separated by commas, instead of a suite.")
@click.option("--data", default="mini", show_default=True, help="mini, mini:validation, hub, or a folder.")
@click.option("--limit", type=click.IntRange(min=1), help="About this many items a task.")
@click.option("--largest", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Largest mask ratio.")
@click.option("--step", type=click.FloatRange(0.01, 1), default=0.05, show_default=True, help="Step between ratios.")
@click.option("--tolerance", type=click.FloatRange(min=0), default=1.0, show_default=True,
              help="Points of the mean score that a teacher may lose and still teach.")  # fmt: skip
@click.option("--scope", type=click.Choice(["lm_linear", "lm+vision_linear", "all_2d"]), default="lm_linear",
              show_default=True, help="Which weights are masked.")  # fmt: skip
@click.option("--criterion", type=click.Choice(["magnitude", "random"]), default="magnitude", show_default=True,
              help="Which weights go first.")  # fmt: skip
@click.option("--threshold", type=click.Choice(["tensor", "global"]), default="tensor", show_default=True,
              help="A threshold for each matrix, or one for all.")  # fmt: skip
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="[default: bf16 on a GPU, else fp32]")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/mask-study-MODEL]")
def mask_study(
    model: str, suite: str, tasks: str | None, data: str, limit: int | None, largest: float, step: float,
    tolerance: float, scope: str, criterion: str, threshold: str, precision: str | None, out: Path | None,
) -> None:  # fmt: skip
    """Evaluate a teacher MODEL with growing shares of its weights masked, and propose r_max."""
    import torch
    from rich.console import Console

    from harness.evaluation import Evaluator, finish_run
    from harness.progress import bars
    from harness.store import Store
    from harness.suites import load_suites
    from trainers.models import Teachers
    from trainers.recipe import Masking, Train
    from trainers.schedule import ratios

    chosen = load_suites().resolve(tasks.split(",") if tasks else suite)
    folder = out or Path("runs") / f"mask-study-{model.rstrip('/').rpartition('/')[2]}"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = precision or ("bf16" if device.type == "cuda" else "fp32")
    masking = Masking.model_validate({"scope": scope, "criterion": criterion, "threshold": threshold})
    console = Console()
    scores: dict[float, list[Scores]] = {}
    with Store(folder) as store, bars(console) as progress:
        evaluator = Evaluator(store, data=data, limit=limit or chosen.limit, progress=progress)
        teachers = Teachers(Train.model_validate({"precision": kind}), device)
        for ratio in ratios(largest, step, "reversed"):
            masked = teachers.at(model, ratio, masking)
            label = f"{model} r={ratio:.2f}"
            known = {"teacher": model, "r": ratio, "masked_share_of_all_weights": masked.report.effective}
            results = evaluator.evaluate(masked.model, chosen.tasks, label=label, stage=known)
            scores[ratio] = [Scores(r.metrics.score, store.units(r.cell)) for r in results]
        finish_run(store, {"model": model, "data": data, "limit": limit, "masking": masking.model_dump()})
    table, proposed = study(scores, tolerance)
    click.echo(table)
    click.echo(f"proposed r_max: {proposed:g} (up to it, no ratio is found to lose more than {tolerance:g} points)")


def study(scores: Mapping[float, Sequence[Scores]], tolerance: float) -> tuple[str, float]:
    """A table of the mean score at each ratio, and the r_max it proposes.

    `scores` maps each ratio to the scores of its tasks. Proposed is the largest ratio such that no ratio up to it is
    found to lose more than `tolerance` points against the whole teacher: that is, the loss exceeds the tolerance by
    less than two standard errors of the paired difference.
    """
    whole = min(scores)
    lines = [f"{'r':>5} {'mean score':>11} {'change':>8} {'std. err. of change':>20}"]
    proposed, holds = whole, True
    for ratio in sorted(scores):
        mean = sum(task.score for task in scores[ratio]) / len(scores[ratio])
        change, error = _change(scores[whole], scores[ratio])
        lines.append(f"{ratio:5.2f} {mean:11.2f} {change:+8.2f} {error:20.2f}")
        holds = holds and -change <= tolerance + 2 * error
        proposed = ratio if holds else proposed
    return "\n".join(lines), proposed


def _change(before: Sequence[Scores], after: Sequence[Scores]) -> tuple[float, float]:
    """Mean change over the tasks in points, and its standard error over pairs of units, clustered."""
    total, variance = 0.0, 0.0
    for a, b in zip(before, after, strict=True):
        old = {unit.id: unit.score for unit in a.units}
        clusters: dict[str, float] = {}
        for unit in b.units:
            moved = 100 * unit.weight * (unit.score - old[unit.id])
            clusters[unit.cluster] = clusters.get(unit.cluster, 0.0) + moved
        centre = sum(clusters.values()) / len(clusters)
        total += sum(clusters.values())
        variance += sum((value - centre) ** 2 for value in clusters.values())
    return total / len(before), variance**0.5 / len(before)


class Scores(NamedTuple):
    """A task's score in percent and its units."""

    score: float
    units: Sequence[Unit]
