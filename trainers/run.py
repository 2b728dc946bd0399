"""A recipe from end to end: base student, teachers, then every method and seed, each stage evaluated as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import registry
from harness.api import Stage
from harness.suites import load_suites
from trainers.recipe import Recipe
from trainers.recipe_file import load_recipe

if TYPE_CHECKING:
    from rich.console import Console

    from harness.evaluation import Evaluator
    from harness.store import Result
    from trainers.context import Context
    from trainers.models import Teachers


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of a recipe evaluates: tasks, where their items come from, how many of them."""

    recipe: Recipe
    tasks: tuple[str, ...]
    data: str
    limit: int | None


def plan_run(
    path: str | Path, *, tasks: Sequence[str] | None = None, data: str | None = None, limit: int | None = None
) -> Plan:
    """The recipe (a file, or the name of a ready one) with what the command line says in place of its `evaluation`."""
    recipe = load_recipe(path)
    chosen = load_suites().resolve(tasks or recipe.evaluation.suite.split(","))
    return Plan(recipe, chosen.tasks, data or recipe.evaluation.data, limit or recipe.evaluation.limit or chosen.limit)


def run_recipe(
    path: str | Path, evaluator: Evaluator, console: Console, *, tasks: Sequence[str] | None = None,
    limit: int | None = None,
) -> list[Result]:  # fmt: skip
    """Train and evaluate a recipe in the evaluator's run folder; resumes whatever a killed run has left there.

    The evaluator decides where items come from (open it with `plan_run(path).data`); `tasks` and `limit` win over the
    recipe's. A stage's label is METHOD/sSEED/STAGE; its Result.stage has method, seed, index, teacher, r and budget.
    """
    plan = plan_run(path, tasks=tasks, limit=limit)
    folder = Path(evaluator.store.folder)
    evaluator.store.set_meta(recipe=plan.recipe.model_dump())
    return list(
        _Run(plan, folder, evaluator, lambda line: console.print(line, highlight=False, markup=False)).results()
    )


def follow_recipe(path: str | Path, folder: Path, *, limit: int | None = None) -> None:
    """What the other processes of `run_recipe` do when several were launched: train with it, evaluate nothing."""
    for _ in _Run(plan_run(path, limit=limit), folder, None, lambda line: None).results():
        pass


class _Run:
    """A run of a recipe in one of its processes; the one that has the evaluator evaluates, the others wait for it."""

    def __init__(self, plan: Plan, folder: Path, evaluator: Evaluator | None, say: Callable[[str], None]) -> None:
        import transformers

        from trainers.context import accelerator_of
        from trainers.generate import GenData
        from trainers.models import Teachers
        from trainers.questions import open_training_data
        from trainers.sharding import sharding_of

        transformers.utils.logging.disable_progress_bar()  # the console has bars of its own
        self._plan, self._folder, self._say = plan, folder, say
        self._recipe = plan.recipe
        limits = [limit for limit in (plan.recipe.evaluation.stage_limit, plan.limit) if limit]
        self._evaluator = evaluator and evaluator.using(limit=plan.limit)
        self._between = evaluator and evaluator.using(limit=min(limits, default=None))
        self._methods = {method.name: registry.load("trainers", method.name) for method in plan.recipe.methods}
        for name, method in self._methods.items():  # a mistake in the last method is told before the first has trained
            method.resolved(plan.recipe, name)
        self._accelerator = accelerator_of(plan.recipe, folder)
        with self._accelerator.main_process_first():  # data is converted once, then mapped
            self._data = open_training_data(plan.recipe.data)
        self._sharding = sharding_of(self._accelerator)
        self._teachers: Teachers = Teachers(plan.recipe.train, self._accelerator.device, self._sharding)
        self._generated = GenData(folder / "gen", self._accelerator.process_index)
        if plan.recipe.train.trackers:
            self._accelerator.init_trackers(plan.recipe.name, config={"recipe": plan.recipe.model_dump_json()})

    def results(self) -> Iterator[Result]:
        """Every result of the run, in the order of the table; of a process that does not evaluate, nothing."""
        if self._evaluator:
            yield from self._of_student(self._evaluator)
            yield from self._of_teachers(self._evaluator)
        self._accelerator.wait_for_everyone()
        for seed in self._recipe.seeds:
            for name, method in self._methods.items():
                last = len(method.resolved(self._recipe, name).stages()) - 1
                for stage in method.run(self._recipe, self._context(name, seed)):
                    yield from self._of_stage(stage, stage.index == last)
                    self._accelerator.wait_for_everyone()
        if self._recipe.train.trackers:
            self._accelerator.end_training()

    def _context(self, method: str, seed: int) -> Context:
        from trainers.context import Context

        return Context(
            self._folder, method, seed, self._data, self._teachers, self._generated, self._accelerator, self._say
        )

    def _of_student(self, evaluator: Evaluator) -> list[Result]:
        """The student before any training."""
        from trainers.models import load_student

        base = load_student(self._recipe, self._accelerator.device)
        name = self._recipe.student.model
        return evaluator.evaluate(base.model(name, base.fingerprint), self._plan.tasks, label=name)

    def _of_teachers(self, evaluator: Evaluator) -> Iterator[Result]:
        """The teachers whole, and where the recipe asks for it at every mask ratio of its schedule."""
        from trainers.models import Teachers

        which = self._recipe.evaluation.teachers
        # One process alone cannot compute with a teacher that is in pieces on all of them.
        teachers = Teachers(self._recipe.train, self._accelerator.device) if self._sharding else self._teachers
        for teacher in self._recipe.teachers if which != "none" else ():
            ratios = [0.0]
            if which == "masked":
                ratios += sorted({s.ratio for s in self._recipe.stages() if s.teacher == teacher.model and s.ratio})
            for ratio in ratios:
                calibration = self._data.train[: self._recipe.masking.calibration_questions]
                masked = teachers.at(teacher.model, ratio, self._recipe.masking, calibration)
                label = f"{teacher.model} r={ratio:.2f}" if ratio else teacher.model
                known = {"teacher": teacher.model, "r": ratio} if ratio else None
                yield from evaluator.evaluate(masked.model, self._plan.tasks, label=label, stage=known)

    def _of_stage(self, stage: Stage, last: bool) -> list[Result]:
        evaluator = self._evaluator if last else self._between
        if evaluator is None or (not last and self._recipe.evaluation.stages == "last"):
            return []
        label = f"{stage.method}/s{stage.meta['seed']}/{stage.name}"
        known = {**stage.meta, "checkpoint": stage.checkpoint, "budget": dict(stage.budget), "last": last}
        return evaluator.evaluate(stage.model, self._plan.tasks, label=label, stage=known)
