"""What every stage of every method has to generate, judge, train and evaluate, and how long that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import registry
from trainers.method import Method
from trainers.order import StagePlan, plan_stages
from trainers.planning import disk
from trainers.planning.architecture import Architecture
from trainers.planning.formula import Figure, figure
from trainers.planning.machine import Machine
from trainers.planning.memory import batch_of
from trainers.planning.speed import Server, server, step_time
from trainers.planning.workload import Assumptions, Lengths
from trainers.recipe import Recipe
from trainers.responses import counts

PHASES = ("generation", "judging", "training", "evaluation")
_OWN_JUDGES = ("hf", "vllm")  # judges that run on this machine


def judge_model(recipe: Recipe) -> str | None:
    """The model that grades rewards on this machine; None for rules and for servers elsewhere."""
    kind, _, spec = recipe.reward.judge.name.partition(":")
    return spec.partition("?")[0] if kind in _OWN_JUDGES and recipe.reward.judge.grade != "task" else None


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a stage: GPU-seconds of work, how many GPUs can share it at most, and in units of how many."""

    work: float
    at_most: int
    unit: int = 1

    def seconds(self, gpus: int) -> float:
        """Wall seconds on so many GPUs; infinite on fewer than one unit."""
        if not self.work:
            return 0.0
        usable = min(gpus, self.at_most) // self.unit * self.unit
        return self.work / usable if usable else float("inf")


@dataclass(frozen=True, slots=True)
class StageCost:
    """A stage of a method: its work by phase, and the figures that it comes from."""

    method: str
    index: int
    teacher: str
    ratio: float
    questions: int
    steps: int
    phases: Mapping[str, Phase]
    step_seconds: float
    figures: Sequence[Figure]

    def seconds(self, phase: str, gpus: int) -> float:
        """Wall seconds of a phase."""
        if phase == "training":
            return self.steps * self.step_seconds
        return self.phases[phase].seconds(gpus)

    def value(self, name: str) -> float:
        """The value of one of its figures, 0 where it has none of that name."""
        return next((found.value for found in self.figures if found.name == name), 0.0)


@dataclass(frozen=True, slots=True)
class Setting:
    """What all stages of a plan share. `items` are evaluated after a method's last stage, and after each before it."""

    recipe: Recipe
    models: Mapping[str, Architecture]
    machine: Machine
    assumed: Assumptions
    length: Lengths
    items: tuple[int, int]


class Costs:
    """The stages' costs in the order in which they run; responses that methods share are counted where first asked."""

    def __init__(self, setting: Setting) -> None:
        self._at = setting
        self._asked: set[tuple[object, ...]] = set()

    def all(self) -> list[StageCost]:
        """Every stage of every method with the first seed."""
        found: list[StageCost] = []
        for named in self._at.recipe.methods:
            method: Method = registry.load("trainers", named.name)
            recipe = method.resolved(self._at.recipe, named.name)
            stages = plan_stages(recipe, self._at.length.questions)
            for stage in stages:
                items = self._at.items[0 if stage is stages[-1] else 1]
                found.append(self._stage(named.name, method, recipe, stage, items))
        return found

    def _stage(self, name: str, method: Method, recipe: Recipe, stage: StagePlan, items: int) -> StageCost:
        at, spec = self._at, stage.spec
        student, teacher = at.models[recipe.student.model], at.models[spec.teacher]
        questions = len(stage.questions)
        of_teacher, of_student = counts(method.responses, recipe.responses)
        group = max(1, of_teacher + of_student)
        gold = method.responses == "gold"
        mine = at.length.gold if gold else at.length.response
        needs = recipe.divergence.weight > 0 or (recipe.policy.weight > 0 and recipe.reward.distillation > 0)
        figures = [figure(
            "response tokens", "tokens", "questions * group * tokens * epochs", questions=questions, group=group,
            tokens=mine, epochs=recipe.optimizer.epochs,
        )]  # fmt: skip
        generation = self._generation(name, recipe, stage, (of_teacher, of_student), figures)
        judging = self._judging(recipe, questions * group, figures)
        size = max(map(len, stage.steps))
        batch = batch_of(recipe, at.length, [stage], group, gold)
        reference = recipe.policy.weight > 0 and recipe.policy.kl > 0
        timed = step_time(recipe, student, teacher if needs else None, reference, batch, at.machine, at.assumed, size)
        micro = -(-size // recipe.train.questions_per_batch)
        work = figure("training", "GPU s", "steps * micro * computing", steps=len(stage.steps), micro=micro,
                      computing=timed.compute)  # fmt: skip
        figures += [timed.flops, timed.compute, timed.communication, work]
        if recipe.train.teacher == "cached" and needs:
            figures.append(disk.teacher_cache(recipe, student, figures[0].value, questions * group))
        evaluation = self._evaluation(student, items, figures)
        phases = {
            "generation": generation,
            "judging": judging,
            "training": Phase(work.value, micro),
            "evaluation": evaluation,
        }
        return StageCost(
            name, spec.index, spec.teacher, spec.ratio, questions, len(stage.steps), phases, timed.seconds, figures
        )

    def _generation(
        self, name: str, recipe: Recipe, stage: StagePlan, asked: tuple[int, int], figures: list[Figure]
    ) -> Phase:
        """Responses of teacher and student that no earlier method has asked for."""
        at, spec = self._at, stage.spec
        work, unit = 0.0, 1
        answered = len(stage.questions) / (2 if asked == (0, 1) else 1)  # half_student: the others are gold
        masking = recipe.masking
        how = (masking.criterion, masking.threshold, masking.scope, masking.seed) if spec.ratio else ()
        by_teacher = ("teacher", spec.teacher, spec.ratio, how, asked[0], stage.questions)
        once = recipe.responses.student_refresh == "none"
        by_student = ("student", "initial" if once or spec.index == 0 else name, spec.index, asked[1], stage.questions)
        student_questions = at.length.questions if once else answered
        runs = (
            (asked[0], by_teacher, spec.teacher, len(stage.questions)),
            (asked[1] if spec.index == 0 or not once else 0, by_student, recipe.student.model, student_questions),
        )
        for samples, key, model, questions in runs:
            if not samples or key in self._asked:
                continue
            self._asked.add(key)
            engine = self._server(at.models[model], samples)
            said = figure(f"generated by the {key[0]}", "tokens", "questions * responses * tokens", questions=questions,
                          responses=samples, tokens=at.length.response)  # fmt: skip
            seconds = figure(
                f"generation by the {key[0]}", "GPU s", "questions * prompt + tokens * token", questions=questions,
                prompt=engine.per_prompt, tokens=said, token=engine.per_token,
            )  # fmt: skip
            figures += [said, engine.per_prompt, engine.per_token, seconds,
                        self._stored(recipe, questions, samples)]  # fmt: skip
            work, unit = work + seconds.value, max(unit, engine.tensor_parallel)
        return Phase(work, 10**9, unit)

    def _stored(self, recipe: Recipe, questions: float, samples: int) -> Figure:
        return disk.gen_data(recipe, self._at.models[recipe.student.model], self._at.length, questions, samples)

    def _server(self, model: Architecture, samples: int) -> Server:
        at = self._at
        return server(model, at.machine, at.assumed, at.length.prompt, at.length.image, at.length.response, samples)

    def _judging(self, recipe: Recipe, responses: int, figures: list[Figure]) -> Phase:
        """Grading the responses with the recipe's judge; rules are free, a server elsewhere is not of this machine."""
        at, judge = self._at, recipe.reward.judge
        wanted = recipe.policy.weight > 0 and (recipe.reward.accuracy > 0 or recipe.reward.gate_by_accuracy)
        model = judge_model(recipe)
        if not wanted or model is None:
            return Phase(0.0, 1)
        calls = 2 if judge.grade == "paper" else 1
        said = min(at.assumed.judge_response, judge.max_tokens)
        prompt = at.assumed.judge_prompt + at.length.response
        engine = server(at.models[model], at.machine, at.assumed, prompt, 0.0, said, 1)
        seconds = figure(
            "judging", "GPU s", "responses * (calls * prompt + (tokens + calls - 1) * token)",
            "the second call of the paper's judge reads the first one's text and says one digit", responses=responses,
            calls=calls, prompt=engine.per_prompt, tokens=said, token=engine.per_token,
        )  # fmt: skip
        figures += [seconds, figure("judge calls", "calls", "responses * calls", responses=responses, calls=calls)]
        return Phase(seconds.value, 10**9, engine.tensor_parallel)

    def _evaluation(self, student: Architecture, items: int, figures: list[Figure]) -> Phase:
        """One process evaluates a stage while the others wait (trainers/run.py)."""
        at = self._at
        engine = server(student, at.machine, at.assumed, at.length.prompt, at.length.image,
                        at.assumed.evaluation_response, 1)  # fmt: skip
        seconds = figure(
            "evaluation", "GPU s", "items * (prompt + tokens * token)", "of one checkpoint", items=items,
            prompt=engine.per_prompt, tokens=at.assumed.evaluation_response, token=engine.per_token,
        )  # fmt: skip
        figures.append(seconds)
        return Phase(seconds.value, 1)
