"""Which questions each optimizer step sees: decided by the recipe alone, so that every method sees the same."""

from __future__ import annotations

from dataclasses import dataclass

from trainers.recipe import Recipe
from trainers.schedule import StageSpec, slices


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage and the questions (places in the training order) of each of its optimizer steps.

    `first_step` is the number of optimizer steps before it.
    """

    spec: StageSpec
    steps: tuple[range, ...]
    first_step: int
    new_teacher: bool

    @property
    def questions(self) -> range:
        """All questions of the stage; an epoch repeats them."""
        return range(self.steps[0].start, max(step.stop for step in self.steps))


def plan_stages(recipe: Recipe, questions: int) -> list[StagePlan]:
    """The stages of a training over `questions` questions, with `optimizer.questions_per_step` a step."""
    specs = recipe.stages()
    if recipe.data.per_stage == "full":
        parts = [range(questions)] * len(specs)
    else:
        parts = slices(specs, questions, recipe.data.split_between_teachers)
    size = recipe.optimizer.questions_per_step
    plans: list[StagePlan] = []
    done = 0
    for spec, part in zip(specs, parts, strict=True):
        epoch = [range(start, min(start + size, part.stop)) for start in range(part.start, part.stop, size)]
        steps = tuple(epoch * recipe.optimizer.epochs)
        before = plans[-1].spec.teacher_index if plans else spec.teacher_index
        plans.append(StagePlan(spec, steps, done, spec.teacher_index != before))
        done += len(steps)
    return plans


def total_steps(plans: list[StagePlan]) -> int:
    """Optimizer steps of the whole training."""
    return plans[-1].first_step + len(plans[-1].steps)
