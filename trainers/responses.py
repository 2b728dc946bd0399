"""The responses of a stage: gold texts or Gen-Data, as the method asks, with their accuracy."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from harness.api import Model
from harness.models.hf import HFModel
from trainers.checkpoints import write_whole
from trainers.context import Context
from trainers.definition import Definition
from trainers.definition import Responses as AskedFor
from trainers.generate import STUDENT, TEACHER, Asked, Generated, sampling
from trainers.groups import Grader, Group, gold, shared_judge, usable
from trainers.mask_scope import in_pieces
from trainers.models import MaskedTeacher, Student, Teachers, load_frozen
from trainers.order import StagePlan
from trainers.packing import image_token_ids
from trainers.questions import Questions, TrainingQuestion
from trainers.recipe import Recipe, Responses
from trainers.serving import Answerer, answering, place_among


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
            settings, accelerator = recipe.reward.judge, context.accelerator
            context.judge = shared_judge(settings, accelerator, context.judge)
            self._grader = Grader(settings, context.folder / "grades", context.judge, accelerator.process_index)
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
            self._generate(asked, self._of_stage(plan), self._teacher(teacher, plan))
            shutil.rmtree(self._served(teacher), ignore_errors=True)
        if of_student:
            refresh = settings.student_refresh == "per_stage"
            fingerprint = mark if refresh else self._student.fingerprint
            asked = Asked(fingerprint, STUDENT, 0.0, sampling(settings.sampling, of_student, seed))
            first = plan.spec.index == 0
            if refresh or first:
                questions = self._of_stage(plan) if refresh else self._questions
                self._generate(asked, questions, self._pupil(checkpoint, fingerprint))
            else:
                self._asked.append(asked)
        if self._grader is not None and self._grader.costs:
            accelerator = self._context.accelerator
            if accelerator.is_main_process:  # so that nothing is paid for twice; the judge answers many at a time
                for step in dict.fromkeys(plan.steps):
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

    def _generate(self, asked: Asked, questions: Questions, answerer: Answerer) -> None:
        """Generate what is missing; each process that answers takes its share."""
        self._asked.append(asked)
        context, settings = self._context, self._recipe.responses
        accelerator = context.accelerator
        place = place_among(accelerator, settings)
        if not context.generated.missing(asked, questions):  # all processes see the same store
            return
        accelerator.wait_for_everyone()
        if settings.backend != "hf":
            if accelerator.is_main_process:
                answerer.checkpoint()
            accelerator.wait_for_everyone()
        mine = questions[place[0] :: place[1]] if place else ()
        if mine and context.generated.missing(asked, mine):
            with answering(answerer, settings) as model:
                errors = context.generated.generate(model, asked, mine, settings.batch_questions)
            if errors:
                context.say(f"{len(errors)} of {len(mine)} questions have no {asked.source} response; {errors[0]}")
        accelerator.wait_for_everyone()
        context.generated.refresh()
        accelerator.wait_for_everyone()

    def _pupil(self, checkpoint: Path, fingerprint: str) -> Answerer:
        """The student as it is now; its weights are those of the checkpoint."""
        student, name = self._student, f"{self._context.method} student"

        def whole() -> Model:
            module = load_frozen(checkpoint, self._context.accelerator.device, self._recipe.train.precision)
            return HFModel(module, student.preprocessor, name=name, fingerprint=lambda: fingerprint)

        live = None if in_pieces(student.module) else student.model(name, fingerprint)
        return Answerer(live, whole, lambda: checkpoint)

    def _teacher(self, teacher: MaskedTeacher, plan: StagePlan) -> Answerer:
        """The masked teacher; for another engine it is saved as an ordinary checkpoint."""
        sharded = in_pieces(teacher.module)

        def masked(device: torch.device) -> MaskedTeacher:
            """The whole of a teacher in pieces: the same weights are masked."""
            masking, train = self._recipe.masking, self._recipe.train
            calibration = self._questions[: masking.calibration_questions] if masking.criterion == "wanda" else ()
            return Teachers(train, device).at(plan.spec.teacher, plan.spec.ratio, masking, calibration)

        def saved() -> Path:
            folder = self._served(teacher)
            if not folder.is_dir():
                whole = masked(torch.device("cpu")) if sharded else teacher

                def write(half: Path) -> None:
                    whole.module.save_pretrained(half)
                    whole.processor.save_pretrained(half)

                write_whole(folder, write)
            return folder

        live = None if sharded else teacher.model
        return Answerer(live, lambda: masked(self._context.accelerator.device).model, saved)

    def _served(self, teacher: MaskedTeacher) -> Path:
        """Where the masked teacher lies for another engine, as long as it answers."""
        return self._context.folder / "served" / teacher.fingerprint[:20]
