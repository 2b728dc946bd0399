"""The responses of a stage: gold texts or Gen-Data, as the method asks, with their accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness import registry
from harness.api import Model
from trainers.checkpoints import write_whole
from trainers.context import Context
from trainers.definition import Definition
from trainers.definition import Responses as AskedFor
from trainers.generate import STUDENT, TEACHER, Asked, Generated, sampling
from trainers.groups import Grader, Group, gold, usable
from trainers.models import MaskedTeacher, Student
from trainers.order import StagePlan
from trainers.packing import image_token_ids
from trainers.questions import Questions, TrainingQuestion
from trainers.recipe import Recipe, Responses


def counts(asked: AskedFor, wanted: Responses) -> tuple[int, int]:
    """Generated responses of teacher and of student to a question, for what a method asks for."""
    both = wanted.teacher + wanted.student
    return {
        "gold": (0, 0), "mixed": (wanted.teacher, wanted.student), "teacher": (both, 0), "student": (0, both),
        "half_student": (0, 1),
    }[asked]  # fmt: skip


class StageResponses:
    """Gives a step its groups; `prepare` has everything generated and graded before the stage's first step."""

    def __init__(
        self, method: Definition, recipe: Recipe, context: Context, student: Student, questions: Questions
    ) -> None:
        self._method, self._recipe, self._context = method, recipe, context
        self._student, self._questions = student, questions
        self._asked: list[Asked] = []
        self._grader: Grader | None = None
        if recipe.policy.weight > 0 and (recipe.reward.accuracy > 0 or recipe.reward.gate_by_accuracy):
            folder = context.folder / "grades"
            self._grader = Grader(recipe.reward.judge, folder, context.judge, context.accelerator.process_index)
        self._vocabulary = max(student.preprocessor.tokenizer.get_vocab().values()) + 1
        self._forbidden = image_token_ids(student.module)

    def counts(self) -> tuple[int, int]:
        """Responses of teacher and student to a question."""
        return counts(self._method.responses, self._recipe.responses)

    def prepare(self, plan: StagePlan, teacher: MaskedTeacher | None, checkpoint: Path, mark: str) -> None:
        """Generate and grade what the stage still misses. `checkpoint` and `mark`: the student's, as it is now."""
        of_teacher, of_student = self.counts()
        settings = self._recipe.responses
        seed = self._context.seed
        self._asked = []
        if of_teacher and teacher is not None:
            asked = Asked(teacher.fingerprint, TEACHER, plan.spec.ratio, sampling(settings.sampling, of_teacher, seed))
            self._generate(asked, self._of_stage(plan), teacher.model, lambda: self._saved(teacher))
        if of_student:
            refresh = settings.student_refresh == "per_stage"
            fingerprint = mark if refresh else self._student.fingerprint
            asked = Asked(fingerprint, STUDENT, 0.0, sampling(settings.sampling, of_student, seed))
            first = plan.spec.index == 0
            if refresh or first:
                questions = self._of_stage(plan) if refresh else self._questions
                model = self._student.model(f"{self._context.method} student", fingerprint)
                self._generate(asked, questions, model, lambda: checkpoint)
            else:
                self._asked.append(asked)
        if self._grader is not None and self._grader.costs:
            accelerator = self._context.accelerator
            for step in plan.steps[accelerator.process_index :: accelerator.num_processes]:
                self.groups(step)
            accelerator.wait_for_everyone()
            self._grader.refresh()

    def groups(self, places: Sequence[int]) -> list[Group]:
        """The groups of some questions; one without a usable response, or dropped as unreadable, is left out."""
        asked = [(place, self._questions[place]) for place in places]
        found = [self._context.generated.responses(who, [q for _, q in asked]) for who in self._asked]
        groups: list[tuple[TrainingQuestion, tuple[Generated, ...]]] = []
        for place, question in asked:
            said = self._said(place, question, found)
            kept = usable(said, self._forbidden, self._vocabulary, self._recipe.responses.truncated)
            if kept:
                groups.append((question, kept))
        if self._grader is None:
            return [Group(question, kept) for question, kept in groups]
        return self._grader.grade(groups)

    def _said(
        self, place: int, question: TrainingQuestion, found: Sequence[dict[str, list[Generated]]]
    ) -> list[Generated]:
        tells_gold = self._method.responses == "gold" or (self._method.responses == "half_student" and place % 2 == 0)
        if tells_gold:
            return [gold(question, self._student.preprocessor.tokenizer, self._student.end)]
        return [response for of_source in found for response in of_source.get(question.key, [])]

    def _of_stage(self, plan: StagePlan) -> Questions:
        places = plan.questions
        if self._method.responses == "half_student":  # the others are gold
            return self._questions[places.start + 1 - places.start % 2 : places.stop : 2]
        return self._questions[places.start : places.stop]

    def _generate(self, asked: Asked, questions: Questions, model: Model, checkpoint: Callable[[], Path]) -> None:
        """Generate what is missing, each process its share, with the recipe's backend."""
        self._asked.append(asked)
        context, backend = self._context, self._recipe.responses.backend
        rank, world = context.accelerator.process_index, context.accelerator.num_processes
        mine = questions[rank::world]
        if context.generated.missing(asked, mine):
            if backend != "hf":
                model = _served(backend, checkpoint())
            errors = context.generated.generate(model, asked, mine, self._recipe.responses.batch_questions)
            if errors:
                context.say(f"{len(errors)} of {len(mine)} questions have no {asked.source} response; {errors[0]}")
        context.accelerator.wait_for_everyone()
        context.generated.refresh()

    def _saved(self, teacher: MaskedTeacher) -> Path:
        """The masked teacher as an ordinary checkpoint, which another engine can open."""
        folder = self._context.folder / "served" / teacher.fingerprint[:20]

        def write(half: Path) -> None:
            teacher.module.save_pretrained(half)
            teacher.processor.save_pretrained(half)

        if not folder.is_dir():
            write_whole(folder, write)
        return folder


def _served(backend: str, checkpoint: Path) -> Model:
    """The checkpoint in another engine."""
    opened: Model = registry.load("models", backend)(str(checkpoint))
    return opened
