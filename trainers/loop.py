"""The one training loop: every method, every stage, resumed from the last saved step after a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from harness import interrupt
from harness.api import HarnessError, Model, Stage
from harness.memory import peak_memory
from harness.models.hf import open_model
from trainers.checkpoints import Places, Position, States, damaged, recipe_key, write_json, write_whole
from trainers.context import Context
from trainers.definition import Definition
from trainers.divergence import check_vocabularies, output_width
from trainers.groups import Group
from trainers.logs import RewardLog, StepLog, advantage_stats
from trainers.models import MaskedTeacher, autocast, load_frozen, load_student, load_weights, training_mode
from trainers.objective import Objective, divergence_of, objective_of
from trainers.optimizer import build_optimizer, learning_rate, set_learning_rate
from trainers.order import StagePlan, plan_stages, total_steps
from trainers.packing import Batch, ResponseModel
from trainers.preflight import require
from trainers.recipe import Recipe
from trainers.reference_cache import ReferenceCache
from trainers.responses import StageResponses
from trainers.rewards import by_source
from trainers.sharding import sharding_of
from trainers.step import Batches, Outcome, Signals, Stepper
from trainers.step_zero import check
from trainers.teacher_cache import WHOLE, TeacherCache
from trainers.validate import accuracy


def train(method: Definition, recipe: Recipe, context: Context) -> Iterator[Stage]:
    """Train one method with one seed; yields a Stage after each (teacher, r), finished ones of a killed run too."""
    yield from _Training(method, method.resolved(recipe, context.method), context).stages()


class _Training:
    def __init__(self, method: Definition, recipe: Recipe, context: Context) -> None:
        self._method, self._recipe, self._context = method, recipe, context
        self._objective: Objective = replace(objective_of(recipe), likelihood=method.likelihood)
        rewarded = self._objective.policy > 0 and self._objective.distillation_reward > 0
        self._needs_signal = self._objective.divergence > 0 or rewarded
        self._questions = context.data.order(context.seed)
        self._plans = plan_stages(recipe, len(self._questions))
        self._places = Places(context.folder, context.method, context.seed)
        accelerator = context.accelerator
        self._states = States(self._places.own, accelerator)
        accelerator.free_memory()  # else it keeps and saves the models of earlier methods and seeds, too
        self._sharding = sharding_of(accelerator)
        self._student = load_student(recipe, accelerator.device, self._sharding)
        self._optimizer = build_optimizer(self._student.module, recipe.optimizer)
        self._model, self._prepared = accelerator.prepare(ResponseModel(self._student.module), self._optimizer)
        self._batches = Batches(self._student, recipe)
        faults = self._places.own / "faults"
        self._stepper = Stepper(
            recipe, self._objective, self._batches, accelerator, self._model, self._prepared, faults
        )
        self._responses = StageResponses(method, recipe, context, self._student, self._questions)
        self._needs_teacher = self._needs_signal or self._responses.counts()[0] > 0
        self._key = recipe_key(
            recipe, {"responses": method.responses, "likelihood": method.likelihood}, self._data_key()
        )
        self._position = Position(recipe=self._key, processes=accelerator.num_processes)
        self._reference: tuple[Path, Any] | None = None

    def _data_key(self) -> str:
        """What the questions are: their number, and the content of a few of them."""
        total = len(self._questions)
        some = [self._questions[place].key for place in sorted({0, total // 2, total - 1})]
        return hashlib.sha256(json.dumps([total, self._context.seed, some]).encode()).hexdigest()

    # ------------------------------------------------------------ stages

    def stages(self) -> Iterator[Stage]:
        """Train what is not done yet, stage by stage."""
        if self._batches.reason:
            self._context.say(f"{self._context.method}: responses are not packed, as {self._batches.reason}")
        saved = self._states.newest(self._key)
        if saved is not None:
            self._position = saved[0]
        for plan in self._plans:
            index = plan.spec.index
            if index < self._position.stage:
                if not self._sharding:
                    self._restore(self._places.checkpoint(index))
            else:
                self._train_stage(plan, saved[1] if saved else None)
                saved = None
            yield self._stage(plan)

    def _restore(self, checkpoint: Path) -> None:
        try:
            load_weights(self._student.module, checkpoint)
        except HarnessError as error:
            raise damaged(self._states.folder, checkpoint, error) from error

    def _resume(self, state: Path) -> None:
        from accelerate.utils import load

        accelerator = self._context.accelerator
        draws = state / f"random_states_{accelerator.process_index}.pkl"
        try:
            load(str(draws))  # Accelerate itself goes on without random states that it cannot read
            accelerator.load_state(str(state))
        except (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError) as error:
            raise damaged(self._states.folder, state, error) from error

    def _stage(self, plan: StagePlan) -> Stage:
        """The stage as the harness sees it: its model is the module in memory; of a sharded one, its checkpoint, which
        the main process opens, as no other evaluates.
        """
        folder = self._places.checkpoint(plan.spec.index)
        record = json.loads(self._places.record(plan.spec.index).read_text(encoding="utf-8"))
        name = f"{self._context.method}/s{self._context.seed}/{record['name']}"
        if self._sharding and self._context.accelerator.is_main_process:
            model: Model = open_model(str(folder), name=name)
        else:
            model = self._student.model(name, self._student.mark(folder))
        return Stage(
            self._context.method, record["name"], plan.spec.index, str(folder), model, record["budget"], record["meta"]
        )

    def _train_stage(self, plan: StagePlan, state: Path | None) -> None:
        resumed = self._position.stage == plan.spec.index and self._position.step > 0
        # Responses that are missing in the middle of a stage are those of the student as the stage found it.
        late = resumed and self._recipe.train.engine != "zero3"
        if state is not None and not late:
            self._resume(state)
        if not resumed:
            self._position = replace(self._position, stage=plan.spec.index, step=0)
            self._reset_optimizer(plan)
        teacher = self._teacher(plan) if self._needs_teacher else None
        before = plan.spec.index - 1
        checkpoint = self._places.checkpoint(before) if before >= 0 else self._student.folder
        self._responses.prepare(plan, teacher, checkpoint, self._student.mark(checkpoint))
        if state is not None and late:
            self._resume(state)
        signals = self._signals(plan, teacher)
        done = plan.first_step + self._position.step
        main = self._context.accelerator.is_main_process
        log = StepLog(self._places.own / "train.jsonl", done, main)
        rewards = RewardLog(self._places.rewards(plan.spec.index), done, main)
        if plan.spec.index == 0 and not resumed:
            self._preflight(plan, signals, teacher)
        try:
            with interrupt.finishing(), training_mode(self._student.module):
                self._steps(plan, signals, log, rewards)
        finally:
            log.close()
        self._finish(plan, teacher)

    def _steps(self, plan: StagePlan, signals: Signals, log: StepLog, rewards: RewardLog) -> None:
        settings, steps = self._recipe.optimizer, total_steps(self._plans)
        for place in range(self._position.step, len(plan.steps)):
            number = plan.first_step + place
            groups = self._responses.groups(plan.steps[place])
            rate = learning_rate(settings, number, steps)
            set_learning_rate(self._optimizer, rate)
            outcome = self._stepper.step(groups, signals, number)
            at = self._position
            self._position = replace(
                at, step=place + 1, questions=at.questions + len(plan.steps[place]),
                student_tokens=at.student_tokens + outcome.tokens, responses=at.responses + outcome.responses,
            )  # fmt: skip
            self._log(plan, number, rate, outcome, log)
            rewards.add(number, outcome.groups, outcome.rewards)
            last = place + 1 == len(plan.steps)
            # Processes of one training hear a signal at different steps, and could not save together.
            stopping = interrupt.asked() and self._context.accelerator.num_processes == 1
            if last or stopping or (place + 1) % self._recipe.train.save_steps == 0:
                rewards.flush(number + 1)
                if stopping or not last:
                    self._save()
            interrupt.check()

    # ------------------------------------------------------------ parts of a stage

    def _teacher(self, plan: StagePlan) -> MaskedTeacher:
        masking = self._recipe.masking
        calibration = self._questions[: masking.calibration_questions] if masking.criterion == "wanda" else ()
        return self._context.teachers.at(plan.spec.teacher, plan.spec.ratio, masking, calibration)

    def _signals(self, plan: StagePlan, teacher: MaskedTeacher | None) -> Signals:
        tokenizer = self._student.preprocessor.tokenizer
        if teacher is None:
            vocabulary = max(tokenizer.get_vocab().values()) + 1
        else:
            theirs = self._context.teachers.tokenizer(plan.spec.teacher)
            widths = output_width(self._student.module), output_width(teacher.module)
            vocabulary = check_vocabularies(tokenizer, theirs, *widths)
        signals = Signals(self._recipe, vocabulary)
        cached = self._recipe.train.teacher == "cached"
        if self._objective.policy > 0 and self._objective.kl > 0:
            if cached:
                signals.references = self._filled_references(plan, vocabulary)
            else:
                signals.reference = self._reference_policy(plan)
        if teacher is None or not self._needs_signal:
            return signals
        signals.teacher = teacher.module
        if cached:
            signals.cache = self._filled_cache(plan, teacher, vocabulary)
            signals.teacher = None
            self._context.teachers.drop()
        return signals

    def _reference_folder(self, plan: StagePlan) -> Path:
        if self._recipe.policy.reference == "previous_stage" and plan.spec.index > 0:
            return self._places.checkpoint(plan.spec.index - 1)
        return self._student.folder

    def _reference_policy(self, plan: StagePlan) -> Any:
        folder = self._reference_folder(plan)
        if self._reference is None or self._reference[0] != folder:
            device, precision = self._context.accelerator.device, self._recipe.train.precision
            self._reference = folder, load_frozen(folder, device, precision, self._sharding)
        return self._reference[1]

    def _filled_references(self, plan: StagePlan, vocabulary: int) -> ReferenceCache:
        """The reference's log-probabilities of the stage; the reference itself is loaded only where one is missing."""
        accelerator = self._context.accelerator
        mark = self._student.mark(self._reference_folder(plan))
        cache = ReferenceCache(self._context.folder / "reference", mark, vocabulary, writer=accelerator.process_index)
        self._meet(cache)
        if any(self._uncached(cache, step) for step in dict.fromkeys(plan.steps)):
            with autocast(self._recipe.train.precision, accelerator.device):
                self._fill(plan, cache, self._reference_policy(plan))
            self._reference = None
        return cache

    def _filled_cache(self, plan: StagePlan, teacher: MaskedTeacher, vocabulary: int) -> TeacherCache:
        rank = self._context.accelerator.process_index
        top_k = None if vocabulary <= WHOLE else self._recipe.train.cache_top_k
        cache = TeacherCache(self._context.folder / "teacher", teacher.fingerprint, vocabulary, top_k, writer=rank)
        self._meet(cache)
        steps = dict.fromkeys(plan.steps)
        first = next((parts[0] for step in steps if (parts := self._uncached(cache, step))), None)
        if first:
            batch = self._batches.batch(first)
            cache.add(teacher.module, batch, first, keep=rank == 0)
            self._meet(cache)
            self._measure(plan, cache, teacher, batch, first)
        self._fill(plan, cache, teacher.module)
        return cache

    def _fill(self, plan: StagePlan, cache: TeacherCache | ReferenceCache, model: Any) -> None:
        """Have a cache hold everything the stage needs; each process computes its share, in as many rounds as the
        others, because a sharded model needs all of them in every round.
        """
        accelerator = self._context.accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        for step in dict.fromkeys(plan.steps):
            parts = self._uncached(cache, step)
            for start in range(0, len(parts), world):
                part = parts[min(start + rank, len(parts) - 1)]
                cache.add(model, self._batches.batch(part), part, keep=start + rank < len(parts))
        self._meet(cache)

    def _uncached(self, cache: TeacherCache | ReferenceCache, step: Sequence[int]) -> list[list[Group]]:
        return self._batches.split(cache.missing(self._responses.groups(step)))

    def _meet(self, cache: TeacherCache | ReferenceCache) -> None:
        """All processes have written, then all have read: from here they agree on what is missing."""
        self._context.accelerator.wait_for_everyone()
        cache.refresh()
        self._context.accelerator.wait_for_everyone()

    def _measure(
        self, plan: StagePlan, cache: TeacherCache, teacher: MaskedTeacher, batch: Batch, part: Sequence[Group]
    ) -> None:
        found = cache.measure(self._student.module, teacher.module, batch, part, divergence_of(self._recipe))
        if self._context.accelerator.is_main_process:
            write_json(self._places.own / f"stage{plan.spec.index}" / "cache.json", asdict(found))
            self._context.say(
                f"{self._context.method}: teacher cache {found.bytes_per_token:.0f} bytes a token, error of D "
                f"{found.mean:.2e} a token of {found.divergence:.2e}"
            )

    def _preflight(self, plan: StagePlan, signals: Signals, teacher: MaskedTeacher | None) -> None:
        groups = next((found for step in plan.steps if (found := self._responses.groups(step))), [])
        if not groups:
            return
        report = teacher.report if teacher else None
        findings = check(self._recipe, self._student, self._stepper, signals, report, signals.teacher, groups)
        said = {finding.name: {"ok": finding.ok, "message": finding.message} for finding in findings}
        if self._context.accelerator.is_main_process:
            write_json(self._places.own / "preflight.json", said)
        require(findings)

    def _reset_optimizer(self, plan: StagePlan) -> None:
        when = self._recipe.optimizer.reset
        if when == "per_stage" or (when == "per_teacher" and plan.new_teacher):
            self._optimizer.state.clear()

    # ------------------------------------------------------------ what stays

    def _log(self, plan: StagePlan, number: int, rate: float, outcome: Outcome, log: StepLog) -> None:
        rewards = outcome.rewards
        record = {
            "step": number, "stage": plan.spec.index, "teacher": plan.spec.teacher, "r": plan.spec.ratio,
            "loss": sum(outcome.parts.values()), **{f"loss/{k}": v for k, v in outcome.parts.items()},
            "lr": rate, "gradient": outcome.gradient, "questions": outcome.questions, "responses": outcome.responses,
            "tokens": outcome.tokens, "seconds": round(outcome.seconds, 4),
            "tokens_per_second": round(outcome.tokens / max(outcome.seconds, 1e-9), 1),
            "by_source": by_source(rewards),
            "advantage": advantage_stats([part.advantage for part in rewards]), "memory": peak_memory(),
        }  # fmt: skip
        log.write(record)
        if self._recipe.train.trackers:
            flat = {key: value for key, value in record.items() if isinstance(value, int | float)}
            flat.update(
                {f"{s}/{name}": value for s, parts in by_source(rewards).items() for name, value in parts.items()}
            )
            self._context.accelerator.log({f"{self._context.method}/{k}": v for k, v in flat.items()}, step=number)

    def _save(self) -> None:
        accelerator = self._context.accelerator
        self._states.save(self._position, lambda folder: accelerator.save_state(str(folder), safe_serialization=False))

    def _finish(self, plan: StagePlan, teacher: MaskedTeacher | None) -> None:
        """The stage's checkpoint, then its record, then the state that counts it as done."""
        spec, context = plan.spec, self._context
        accelerator = context.accelerator
        folder = self._places.checkpoint(spec.index)
        # Of a module in pieces the main process gets the weights from all; every other has them itself.
        state = (accelerator.get_state_dict(self._model) or {}) if self._sharding else {}
        weights = {name.removeprefix("model."): value for name, value in state.items()}

        def write(half: Path) -> None:
            self._student.module.save_pretrained(half, state_dict=weights or None)
            self._student.processor.save_pretrained(half)

        if accelerator.is_main_process:
            write_whole(folder, write)
            self._record(plan, teacher)
        accelerator.wait_for_everyone()
        self._position = replace(self._position, stage=spec.index + 1, step=0)
        if spec.index + 1 < len(self._plans):
            self._save()
        else:  # nothing to go on from: only that all is done
            self._states.save(self._position, lambda folder: None)

    def _record(self, plan: StagePlan, teacher: MaskedTeacher | None) -> None:
        """What is known of the stage, beside its checkpoint."""
        spec, context, folder = plan.spec, self._context, self._places.checkpoint(plan.spec.index)
        at = self._position
        meta: dict[str, Any] = {
            "method": context.method, "seed": context.seed, "index": spec.index, "teacher": spec.teacher,
            "r": spec.ratio, "title": self._method.title,
        }  # fmt: skip
        if teacher is not None:
            meta["masked_share_of_all_weights"] = round(teacher.report.effective, 6)
        if len(context.data.validation):
            live = None if self._sharding else self._student.model("validation", self._student.mark(folder))
            model = live or open_model(str(folder), name="validation")
            settings = self._recipe.reward.judge
            meta["validation"] = round(100 * accuracy(model, context.data.validation, settings, context.judge), 3)
        short = spec.teacher.rstrip("/").rpartition("/")[2].partition("@")[0]
        record = {
            "name": f"{spec.index + 1}-{short}-r{spec.ratio:.2f}",
            "budget": {
                "steps": plan.first_step + len(plan.steps), "questions": at.questions,
                "student_tokens": at.student_tokens, "responses": at.responses,
            },
            "meta": meta,
        }  # fmt: skip
        write_json(self._places.record(spec.index), record)
