"""The order of stages: mask ratios r[i] (Eq. 3 of the paper) and teachers one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.api import HarnessError

Order = Literal["progressive", "reversed", "fixed"]
Split = Literal["by_stages", "equal"]


@dataclass(frozen=True, slots=True)
class Masked:
    """A teacher of the curriculum: its name, the largest mask ratio and the step between its stages."""

    teacher: str
    r_max: float
    step: float = 0.05


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage: the masked teacher that signals in it. `index` counts over the whole training, `of_teacher` within."""

    index: int
    teacher: str
    teacher_index: int
    of_teacher: int
    ratio: float

    @property
    def name(self) -> str:
        """Short and sortable: `t1-r0.15` is the second teacher at r = 0.15."""
        return f"t{self.teacher_index}-r{self.ratio:.2f}"


def stage_count(r_max: float, step: float) -> int:
    """M = r_max / s + 1, by rounding: 0.3 / 0.05 is 5.999... in floating point.

    Raises HarnessError where r_max is no multiple of the step: the last stage would then not be r = 0.
    """
    if not 0.0 <= r_max <= 1.0:
        raise HarnessError(f"r_max is {r_max}, which is no share of the weights", "give a number between 0 and 1")
    if r_max == 0.0:
        return 1
    if step <= 0.0:
        raise HarnessError(f"the step between mask ratios is {step}", "give a positive step, the paper's is 0.05")
    steps = round(r_max / step)
    if abs(steps * step - r_max) > 1e-6:
        raise HarnessError(f"r_max {r_max} is no multiple of the step {step}", "choose both so that r ends at 0")
    return steps + 1


def ratios(r_max: float, step: float = 0.05, order: Order = "progressive", fixed: float | None = None) -> list[float]:
    """The mask ratio of each of a teacher's M stages.

    `progressive` is the paper's (r_max down to 0); `reversed` (0 up to r_max) and `fixed` (M times `fixed`, by default
    r_max; 0 is naive distillation at the same budget) are controls.
    """
    stages = stage_count(r_max, step)
    down = [round(r_max - step * k, 10) + 0.0 for k in range(stages)]  # + 0.0: no -0.0
    if order == "fixed":
        return [r_max if fixed is None else fixed] * stages
    return down if order == "progressive" else down[::-1]


def ratio_at(iteration: int, iterations: int, r_max: float, step: float = 0.05) -> float:
    """r[i] = r_max - s * floor(i * M / I) of Eq. 3, with i counted from 0.

    Counted from 1 as printed, the last iteration would give r = -s; from 0 every stage has exactly I / M iterations.
    """
    if not 0 <= iteration < iterations:
        raise HarnessError(f"iteration {iteration} is outside 0..{iterations - 1}", "count iterations from 0")
    return ratios(r_max, step)[iteration * stage_count(r_max, step) // iterations]


def plan(teachers: Sequence[Masked], order: Order = "progressive", fixed: float | None = None) -> list[StageSpec]:
    """The stages of a training: each teacher in turn runs its whole mask schedule (Fig. 2a: mid teachers first)."""
    if not teachers:
        raise HarnessError("the recipe names no teacher", "name at least one under `teachers`")
    found: list[StageSpec] = []
    for position, masked in enumerate(teachers):
        for within, ratio in enumerate(ratios(masked.r_max, masked.step, order, fixed)):
            found.append(StageSpec(len(found), masked.teacher, position, within, ratio))
    return found


def slices(stages: Sequence[StageSpec], items: int, split: Split = "by_stages") -> list[range]:
    """Which items each stage sees where every item is seen once: contiguous ranges that cover 0..items-1 exactly.

    `by_stages` gives every stage the same share; `equal` gives every teacher the same share, cut into its stages.
    Raises HarnessError where a stage would be left without items.
    """
    if items < len(stages):
        raise HarnessError(
            f"{items} items are too few for {len(stages)} stages",
            "use more data, or data.per_stage: full",
        )
    of_teacher = [sum(s.teacher_index == stage.teacher_index for s in stages) for stage in stages]
    teachers = len({stage.teacher_index for stage in stages})
    weights = [1.0 / len(stages) if split == "by_stages" else 1.0 / (teachers * m) for m in of_teacher]
    edges = [0]
    for index in range(len(stages)):
        edges.append(round(items * sum(weights[: index + 1])))
    found = [range(start, stop) for start, stop in itertools.pairwise(edges)]
    if any(len(part) == 0 for part in found):
        raise HarnessError(f"{items} items leave a stage empty", "use more data or fewer stages")
    return found
