"""The plan as tables for the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from trainers.planning.assemble import RunPlan
from trainers.planning.formula import Figure, shown
from trainers.planning.stages import PHASES, StageCost
from trainers.planning.sweep import Point

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def amount(value: float, unit: str = "") -> str:
    """A number with a decimal prefix: 8.53 G, 76.8 GB."""
    for size, prefix in _UNITS:
        if abs(value) >= 0.9995 * size:
            return f"{_three(value / size)} {prefix}{unit}"
    return f"{_three(value)} {unit}".rstrip()


def _three(value: float) -> str:
    """Three significant digits without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Seconds as what a reader would say."""
    if seconds == float("inf"):
        return "does not fit"
    if seconds >= 48 * 3600:
        return f"{_three(seconds / 86400)} d"
    if seconds >= 3600:
        return f"{_three(seconds / 3600)} h"
    return f"{_three(seconds / 60)} min" if seconds >= 60 else f"{_three(seconds)} s"


def print_plan(plan: RunPlan, console: Console, *, explain: bool = False, every: bool = False) -> None:
    """Models, memory of a GPU, stages, disk, totals; `explain` adds every formula, `every` gives a row a stage."""
    at = plan.setting
    console.print(f"[bold]{at.recipe.name}[/] on {at.machine.gpus} x {at.machine.name}", highlight=False)
    for table in (_models(plan), _memory(plan), _stages(plan, every), _disk(plan)):
        console.print(table)
    for line in _notes(plan):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if explain:
        console.print("\n[bold]How each figure is computed[/]")
        for where, part in plan.figures():
            line = f"{where}: {part.name} = {shown(part.value)} {part.unit} = {part.explained()}"
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def print_sweep(plan: RunPlan, points: Sequence[Point], console: Console) -> None:
    """One row a number of GPUs: wall time by phase, in turn and overlapped, what bounds it, and whether it fits."""
    at = plan.setting
    table = _table(f"{at.recipe.name} on {at.machine.name}: wall time by number of GPUs", "GPUs", *PHASES, "in turn",
                   "overlapped", "GPUs that train", "GPU hours in turn", "bound by", "memory of a GPU")  # fmt: skip
    for point in points:
        memory = amount(point.peak, "B") + ("" if point.fits else ", too much")
        overlaps = point.overlapped < float("inf")
        table.add_row(
            str(point.gpus), *(duration(point.phases[phase]) for phase in PHASES), duration(point.in_turn),
            duration(point.overlapped) if overlaps else "-",
            str(round(point.training_share * point.gpus)) if overlaps else "-",
            _three(point.in_turn * point.gpus / 3600) if point.in_turn < float("inf") else "-",
            point.bound, memory,
        )  # fmt: skip
    console.print(table)
    micro = -(-at.recipe.optimizer.questions_per_step // at.recipe.train.questions_per_batch)
    console.print(
        f"a step has {micro} micro-batches (optimizer.questions_per_step / train.questions_per_batch): more GPUs do "
        "not speed training up; one process evaluates. Lengths and shares as in the plan.",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0),
                  title_justify="left", title_style="bold")  # fmt: skip
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    return table


def _models(plan: RunPlan) -> Table:
    table = _table("\nparameters", "model", "all", "language", "embeddings", "head", "vision", "projector")
    for name, model in plan.setting.models.items():
        parts = (model.parameters, model.language, model.embeddings, model.head, model.vision, model.projector)
        table.add_row(name, *(amount(part) if part else "tied" if part is model.head else "-" for part in parts))
    return table


def _memory(plan: RunPlan) -> Table:
    names = list(dict.fromkeys(part.name for parts in plan.memory.values() for part in parts))
    names = [name for name in names if not name.startswith("peak")] + [n for n in names if n.startswith("peak")]
    table = _table("\nmemory of one GPU while training", "", *plan.memory)
    for name in names:
        values = [next((p.value for p in parts if p.name == name), None) for parts in plan.memory.values()]
        table.add_row(name, *("-" if value is None else amount(value, "B") for value in values))
    return table


def _stages(plan: RunPlan, every: bool) -> Table:
    """One row a stage, or the sum over a teacher's stages."""
    at = plan.setting
    price = ["cost"] if at.machine.price else []
    table = _table("\nstages", "method", "stages", "questions", "steps", "tokens trained", "tokens generated", *PHASES,
                   "GPU hours", *price)  # fmt: skip
    for group in plan.stages if every else ():
        table.add_row(*_row([group], plan))
    for _, stages in itertools.groupby(() if every else plan.stages, lambda stage: (stage.method, stage.teacher)):
        table.add_row(*_row(list(stages), plan))
    seconds = plan.seconds()
    hours = sum(seconds.values()) / 3600 * at.machine.gpus
    cost = [f"{hours * at.machine.price:,.0f}"] if at.machine.price else []
    table.add_row("all" if plan.seeds == 1 else f"all, {plan.seeds} seeds", "", "", "", "", "",
                  *(duration(seconds[phase]) for phase in PHASES), _three(hours), *cost, style="bold")  # fmt: skip
    return table


def _row(stages: Sequence[StageCost], plan: RunPlan) -> list[str]:
    machine, first, last = plan.setting.machine, stages[0], stages[-1]
    seconds = {phase: sum(stage.seconds(phase, machine.gpus) for stage in stages) for phase in PHASES}
    hours = sum(seconds.values()) / 3600 * machine.gpus
    generated = sum(stage.value(f"generated by the {who}") for stage in stages for who in ("teacher", "student"))
    short = first.teacher.rstrip("/").rpartition("/")[2]
    number = f"{first.index + 1}" if last is first else f"{first.index + 1}-{last.index + 1}"
    ratio = f"r={first.ratio:.2f}" if first.ratio == last.ratio else f"r={first.ratio:.2f}..{last.ratio:.2f}"
    return [
        first.method, f"{number} {short} {ratio}", f"{sum(stage.questions for stage in stages):,}",
        f"{sum(stage.steps for stage in stages):,}", amount(sum(stage.value("response tokens") for stage in stages)),
        amount(generated) if generated else "-",
        *(duration(seconds[phase]) if seconds[phase] else "-" for phase in PHASES), _three(hours),
        *([f"{hours * machine.price:,.0f}"] if machine.price else []),
    ]  # fmt: skip


def _disk(plan: RunPlan) -> Table:
    table = _table("\ndisk", "", "bytes")
    for part in plan.disk:
        table.add_row(part.name, amount(part.value, "B"), style="bold" if part is plan.disk[-1] else "")
    return table


def _notes(plan: RunPlan) -> list[str]:
    at = plan.setting
    peak: Figure = max((parts[-1] for parts in plan.memory.values()), key=lambda part: part.value)
    fits = "fits" if peak.value <= at.machine.gpu.memory else "DOES NOT FIT"
    sources = "; ".join(f"{name}: {model.source}" for name, model in at.models.items())
    return [
        "",
        f"memory: a process's peak of {amount(peak.value, 'B')} {fits} in {amount(at.machine.gpu.memory, 'B')}",
        f"lengths: prompt {at.length.prompt:.0f} tokens ({at.length.image:.0f} of images), response "
        f"{at.length.response:.0f}, gold {at.length.gold:.0f}; {at.length.source}",
        f"evaluation: {at.items[0]:,} items after a method's last stage, {at.items[1]:,} after the others, on one GPU "
        f"(one process evaluates), and before training {plan.evaluations} x {at.items[0]:,} (student and teachers)",
        f"architectures: {sources}",
        "responses that methods share are generated once and counted where they are first asked for",
    ]
