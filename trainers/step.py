"""One optimizer step: the groups of its questions in micro-batches, the loss of Eq. 8, the gradient, the update."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.api import HarnessError
from trainers.groups import Group
from trainers.models import Student, autocast, packed_question
from trainers.objective import Loss, Objective, divergence_of, loss_of_batch
from trainers.packing import Batch, pack, spread, supports, teacher_logits
from trainers.recipe import Recipe
from trainers.reference_cache import ReferenceCache, reference_logp
from trainers.rewards import ResponseKey, RewardParts, reward_parts
from trainers.teacher_cache import TeacherCache

Signal = Callable[[slice], Tensor]


class Batches:
    """Makes micro-batches of groups: packed where the family can be, else spread, which `reason` then explains."""

    def __init__(self, student: Student, recipe: Recipe) -> None:
        self._student, self._train = student, recipe.train
        off = "train.packing is off" if recipe.train.packing == "off" else None
        self.reason = off or supports(student.module)
        self._make = pack if self.reason is None else spread

    def split(self, groups: Sequence[Group]) -> list[list[Group]]:
        """The micro-batches of a step: like lengths together, `train.questions_per_batch` questions each."""
        ordered = sorted(groups, key=lambda group: (group.tokens, group.question.key))
        size = self._train.questions_per_batch
        return [ordered[at : at + size] for at in range(0, len(ordered), size)]

    def batch(self, groups: Sequence[Group]) -> Batch:
        """The tensors of a micro-batch, on the student's device."""
        preprocessor, module = self._student.preprocessor, self._student.module
        asked = [packed_question(g.question, [r.token_ids for r in g.responses], preprocessor) for g in groups]
        for question in asked:
            length = question.inputs["input_ids"].shape[1]
            if length > self._train.max_prompt_tokens:
                raise HarnessError(
                    f"question {question.name}: its prompt has {length} tokens, train.max_prompt_tokens is "
                    f"{self._train.max_prompt_tokens}",
                    "raise the limit, or give the processor a smaller pixel budget",
                )
        return self._make(asked, module).to(module.device)


@dataclass(slots=True)
class Signals:
    """What a batch is compared with: the teacher and the reference policy, each live or from its cache."""

    recipe: Recipe
    vocabulary: int
    teacher: Any = None
    cache: TeacherCache | None = None
    reference: Any = None
    references: ReferenceCache | None = None

    def of_teacher(self, batch: Batch, groups: Sequence[Group]) -> Signal | None:
        """The teacher's logits of a slice of the batch's tokens; None where the loss needs no teacher."""
        if self.cache is not None:
            return self.cache.signal(groups)
        return None if self.teacher is None else teacher_logits(self.teacher, batch)

    def of_reference(self, batch: Batch, groups: Sequence[Group]) -> Tensor | None:
        """The reference's log-probability of each token [N]; None where there is no KL term."""
        if self.references is not None:
            return self.references.logp(batch, groups)
        return None if self.reference is None else reference_logp(self.reference, batch, self.vocabulary)


@dataclass(slots=True)
class Outcome:
    """What a step did: loss parts, gradient norm, counts, seconds, and the parts of every reward."""

    parts: dict[str, float] = field(default_factory=dict)
    gradient: float = 0.0
    tokens: int = 0
    responses: int = 0
    questions: int = 0
    seconds: float = 0.0
    groups: list[Group] = field(default_factory=list)
    rewards: list[RewardParts] = field(default_factory=list)


class Noted(NamedTuple):
    """What is kept of a micro-batch: loss parts, response tokens, the parts of every reward."""

    parts: dict[str, float]
    tokens: int
    rewards: list[RewardParts]


class Stepper:
    """Does optimizer steps. `model` and `optimizer` are Accelerate's; a loss that is not finite ends the training."""

    def __init__(
        self, recipe: Recipe, objective: Objective, batches: Batches, accelerator: Any, model: Any, optimizer: Any,
        faults: Path,
    ) -> None:  # fmt: skip
        self._recipe, self.objective, self.batches = recipe, objective, batches
        self._accelerator, self._model, self._optimizer = accelerator, model, optimizer
        self._faults = faults

    def loss(self, model: Any, batch: Batch, groups: Sequence[Group], signals: Signals, responses: int) -> Loss:
        """The loss of a micro-batch of a step that has so many responses."""
        with autocast(self._recipe.train.precision, batch.targets.device):
            teacher = signals.of_teacher(batch, groups)
            reference = signals.of_reference(batch, groups)
            found = model(batch, signals.vocabulary, teacher, divergence_of(self._recipe))
        accuracy = accuracy_of(groups, batch) if self.objective.policy > 0 else None
        return loss_of_batch(found, batch.layout, self.objective, accuracy, reference, responses)

    def step(self, groups: Sequence[Group], signals: Signals, number: int) -> Outcome:
        """One update from the groups of a step; without any group nothing is updated.

        The micro-batches are dealt out to the processes; every process returns the outcome of all of them.
        """
        started = time.monotonic()
        outcome = Outcome(questions=len(groups), responses=sum(len(g.responses) for g in groups))
        if not groups:
            return outcome
        accelerator = self._accelerator
        micro = self.batches.split(groups)
        rank, world = accelerator.process_index, accelerator.num_processes
        rounds = -(-len(micro) // world)
        deepspeed = str(accelerator.distributed_type).endswith("DEEPSPEED")
        accelerator.step, accelerator.gradient_accumulation_steps = 0, rounds
        done: dict[int, Noted] = {}
        for turn in range(rounds):
            place = turn * world + rank
            # A process without a micro-batch of its own repeats one at weight 0, so that all meet in the gradient.
            part, weight = (micro[place], 1.0) if place < len(micro) else (micro[-1], 0.0)
            batch = self.batches.batch(part)
            with accelerator.accumulate(self._model):
                loss = self.loss(self._model, batch, part, signals, outcome.responses)
                if not bool(torch.isfinite(loss.total)):
                    raise self._not_finite(number, batch, part, {k: float(v) for k, v in loss.parts.items()})
                # Accelerate divides by the rounds (DeepSpeed does not) and averages over processes; the loss is a sum.
                accelerator.backward(loss.total * weight * world * (1 if deepspeed else rounds))
            if weight:
                done[place] = _noted(part, batch, loss)
        outcome.gradient = self._update(number, groups)
        _add_up(outcome, micro, _of_all(accelerator, done))
        outcome.seconds = time.monotonic() - started
        return outcome

    def _update(self, number: int, groups: Sequence[Group]) -> float:
        norm = self._accelerator.clip_grad_norm_(self._model.parameters(), self._recipe.optimizer.clip)
        size = 0.0 if norm is None else float(norm)
        if size != size or size == float("inf"):
            raise self._not_finite(number, None, groups, {"gradient norm": size})
        self._optimizer.step()
        self._optimizer.zero_grad()
        return size

    def _not_finite(
        self, number: int, batch: Batch | None, groups: Sequence[Group], parts: dict[str, float]
    ) -> HarnessError:
        """Save what the step was computed from, and say where."""
        rank = self._accelerator.process_index
        path = self._faults / f"step-{number:06d}{f'-process{rank}' if rank else ''}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        said = [
            {
                "question": group.question.sample.id,
                "responses": [(r.source, r.text, list(r.token_ids)) for r in group.responses],
                "accuracy": list(group.accuracy),
            }
            for group in groups
        ]
        tensors = {} if batch is None else {"input_ids": batch.input_ids, "segment": batch.segment, **batch.extra}
        torch.save({"step": number, "parts": parts, "groups": said, "tensors": tensors}, path)
        shown = ", ".join(f"{name} = {value:g}" for name, value in parts.items())
        return HarnessError(
            f"step {number}: the loss is not finite ({shown}); its batch is in {path}",
            "lower optimizer.lr or train in fp32; the same command again goes on from the last saved state",
        )


def _noted(groups: Sequence[Group], batch: Batch, loss: Loss) -> Noted:
    lengths = batch.layout.lengths.cpu()
    keys = [ResponseKey(r.question, r.index, r.source, r.ratio) for g in groups for r in g.responses]
    rewards = reward_parts(keys, lengths, accuracy_of(groups, batch), loss)
    return Noted({name: float(part) for name, part in loss.parts.items()}, int(lengths.sum()), rewards)


def _of_all(accelerator: Any, mine: dict[int, Noted]) -> dict[int, Noted]:
    """What every process noted, by the place of the micro-batch in the step."""
    if accelerator.num_processes == 1:
        return mine
    from accelerate.utils import gather_object

    return {place: noted for found in gather_object([mine]) for place, noted in found.items()}


def _add_up(outcome: Outcome, micro: Sequence[Sequence[Group]], done: Mapping[int, Noted]) -> None:
    """The micro-batches in their order, whoever computed them: the log does not depend on the number of processes."""
    for place, part in enumerate(micro):
        noted = done[place]
        for name, value in noted.parts.items():
            outcome.parts[name] = outcome.parts.get(name, 0.0) + value
        outcome.tokens += noted.tokens
        outcome.groups += part
        outcome.rewards += noted.rewards


def accuracy_of(groups: Sequence[Group], batch: Batch) -> Tensor:
    """R_acc of the responses [R]; 0 where the method grades none."""
    given = [value for group in groups for value in (group.accuracy or (0.0,) * len(group.responses))]
    return torch.tensor(given, device=batch.targets.device)
