"""The checks before a training's first step, on its own first batch (the checks themselves: trainers/preflight.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.api import Generation, HarnessError
from trainers import preflight
from trainers.groups import Group
from trainers.mask_scope import MaskReport, in_pieces
from trainers.models import Student, autocast, packed_question
from trainers.objective import Held, loss_of_batch
from trainers.packing import ResponseModel, image_token_ids
from trainers.preflight import Finding
from trainers.recipe import Recipe
from trainers.step import Batches, Signals, Stepper, accuracy_of

_TOKENS = 24
_TOLERANCE = {"fp32": 1e-3, "bf16": 0.05}


def check(
    recipe: Recipe, student: Student, stepper: Stepper, signals: Signals, report: MaskReport | None,
    teacher: Any, groups: Sequence[Group],
) -> list[Finding]:  # fmt: skip
    """All findings on the first micro-batch; the weights are as before when this returns."""
    part = stepper.batches.split(groups)[0]
    preprocessor = student.preprocessor
    first = packed_question(part[0].question, [r.token_ids for r in part[0].responses], preprocessor)
    with autocast(recipe.train.precision, student.module.device):
        found = [preflight.image_tokens(student.module, first)]
    found.append(_generation(recipe, student, stepper.batches, signals.vocabulary, part[0]))
    if report is not None and teacher is not None and report.asked > 0:
        found.append(preflight.masked_share(teacher, report, recipe.masking.scope))
    found += _gradient(recipe, student, stepper, signals, part)
    return found


def _generation(recipe: Recipe, student: Student, batches: Batches, vocabulary: int, group: Group) -> Finding:
    """Greedy tokens of the student, noted while generating, against the training's forward pass."""
    request = replace(group.question.request, generation=Generation(max_new_tokens=_TOKENS, logprobs=True))
    ((_, said),) = student.model("preflight", "preflight").generate([request])
    if said.finish == "error":
        raise HarnessError(f"preflight: question {group.question.sample.id}: {said.error}", "look at this question")
    # After an image token in an answer, a forward pass would look for another image; before it all can be compared.
    placed = image_token_ids(student.module)
    upto = next((at for at, token in enumerate(said.token_ids) if token in placed), len(said.token_ids))
    answer = replace(group.responses[0], token_ids=said.token_ids[:upto], logprobs=said.logprobs[:upto])
    batch = batches.batch([Group(group.question, (answer,))])
    with autocast(recipe.train.precision, batch.targets.device):
        return preflight.generation_logprobs(
            student.module, batch, torch.tensor(answer.logprobs), vocabulary, _TOLERANCE[recipe.train.precision]
        )


def _gradient(
    recipe: Recipe, student: Student, stepper: Stepper, signals: Signals, part: Sequence[Group]
) -> list[Finding]:
    """The loss is finite, and a small step along the gradient lowers it."""
    batch = stepper.batches.batch(part)
    model = ResponseModel(student.module)
    responses = sum(len(group.responses) for group in part)
    with torch.no_grad():
        at_first = stepper.loss(model, batch, part, signals, responses)
        with autocast(recipe.train.precision, batch.targets.device):
            reference = signals.of_reference(batch, part)
            teacher = signals.of_teacher(batch, part)
            held = Held(model(batch, signals.vocabulary).logp, at_first.advantage)
    found = preflight.finite(at_first.parts)
    if not found.ok or in_pieces(student.module):  # a sharded model has no gradient of its own to follow
        return [found]
    accuracy = accuracy_of(part, batch) if stepper.objective.policy > 0 else None

    def again() -> Tensor:
        from trainers.objective import divergence_of

        with autocast(recipe.train.precision, batch.targets.device):
            signal = model(batch, signals.vocabulary, teacher, divergence_of(recipe))
        total: Tensor = loss_of_batch(
            signal, batch.layout, stepper.objective, accuracy, reference, responses, held
        ).total
        return total

    return [found, preflight.step_lowers_loss(student.module.parameters(), again)]
