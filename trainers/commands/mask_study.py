"""`harness mask-study`: what a teacher is still worth with a share of its weights masked, and which r_max follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.store import Result

_EXAMPLES = """\b
Examples:
  harness mask-study embedded/large --limit 100
  harness mask-study OpenGVLab/InternVL3_5-38B-HF --tasks mmstar,chartqa --data hub --tolerance 2
"""


@click.command("mask-study", epilog=_EXAMPLES)
@click.argument("model")
@click.option("--suite", default="full", show_default=True, help="Suite of tasks.")
@click.option("--tasks", help="Tasks by name, separated by commas, instead of a suite.")
@click.option("--data", default="mini", show_default=True, help="mini, hub, or a folder with the benchmarks' files.")
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
    scores: dict[float, list[Result]] = {}
    with Store(folder) as store, bars(console) as progress:
        evaluator = Evaluator(store, data=data, limit=limit or chosen.limit, progress=progress)
        teachers = Teachers(Train.model_validate({"precision": kind}), device)
        for ratio in ratios(largest, step, "reversed"):
            masked = teachers.at(model, ratio, masking)
            label = f"{model} r={ratio:.2f}"
            known = {"teacher": model, "r": ratio, "masked_share_of_all_weights": masked.report.effective}
            scores[ratio] = evaluator.evaluate(masked.model, chosen.tasks, label=label, stage=known)
        finish_run(store, {"model": model, "data": data, "limit": limit, "masking": masking.model_dump()})
    table, proposed = study(scores, tolerance)
    click.echo(table)
    click.echo(
        f"proposed r_max: {proposed:g} (the largest r up to which no ratio loses more than {tolerance:g} points and "
        "two standard errors of the loss)"
    )


def study(scores: Mapping[float, Sequence[Result]], tolerance: float) -> tuple[str, float]:
    """A table of the mean score at each ratio, and the r_max it proposes.

    Proposed is the largest ratio such that no ratio up to it loses more than `tolerance` points against the whole
    teacher, beyond two standard errors of the difference (taken as if unpaired, which errs to a larger r).
    """
    means = {ratio: sum(r.metrics.score for r in found) / len(found) for ratio, found in scores.items()}
    errors = {r: sum(x.metrics.stderr**2 for x in found) ** 0.5 / len(found) for r, found in scores.items()}
    whole = min(scores)
    lines = [f"{'r':>5} {'mean score':>11} {'std. err.':>10} {'change':>8}"]
    proposed, holds = whole, True
    for ratio in sorted(scores):
        change = means[ratio] - means[whole]
        lines.append(f"{ratio:5.2f} {means[ratio]:11.2f} {errors[ratio]:10.2f} {change:+8.2f}")
        allowed = tolerance + 2 * (errors[ratio] ** 2 + errors[whole] ** 2) ** 0.5
        holds = holds and -change <= allowed
        proposed = ratio if holds else proposed
    return "\n".join(lines), proposed
