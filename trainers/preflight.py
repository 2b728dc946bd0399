"""Checks before the first step: what makes distillation train silently on nonsense is found here, in sentences.

Each check returns a Finding; `require` raises one HarnessError with all that failed. Vocabularies are checked by
`trainers.divergence.check_vocabularies`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.api import HarnessError
from trainers.mask_scope import MaskReport, Scope
from trainers.masking import count_zeros
from trainers.packing import Batch, Question, ResponseModel


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a check: a sentence with figures, and what to do where it is not ok."""

    name: str
    ok: bool
    message: str
    remedy: str = ""


def require(findings: Iterable[Finding]) -> None:
    """Raise HarnessError if any finding is not ok, naming all of them."""
    bad = [finding for finding in findings if not finding.ok]
    if bad:
        raise HarnessError(
            "preflight: " + "; ".join(f"{finding.name}: {finding.message}" for finding in bad),
            "; ".join(dict.fromkeys(finding.remedy for finding in bad if finding.remedy)),
        )


def image_tokens(model: Any, question: Question) -> Finding:
    """As many image tokens in the prompt as the vision tower gives features (EasyR1 #641, verl #3469)."""
    config = model.config
    token = getattr(config, "image_token_id", None)
    token = config.image_token_index if token is None else token
    tokens = int((question.inputs["input_ids"] == token).sum())
    vision = {key: value for key, value in question.inputs.items() if key in ("pixel_values", "image_grid_thw")}
    features = 0
    if vision:
        with torch.no_grad():
            out = model.get_image_features(**{k: v.to(model.device) for k, v in vision.items()}, return_dict=True)
        pooled = out.pooler_output
        width = config.get_text_config().hidden_size
        features = sum(part.numel() for part in pooled) // width
    return Finding(
        "image tokens",
        tokens == features,
        f"question {question.name} has {tokens} image tokens and {features} image features",
        "use the model's own processor, with the same image settings for generation and training",
    )


def generation_logprobs(
    model: nn.Module, batch: Batch, generated: Tensor, vocabulary: int, tolerance: float = 0.05
) -> Finding:
    """Teacher-forced log-probabilities agree with those noted while generating, `generated` [N] (ms-swift #9429).

    Compared are the model's own log-probabilities, before temperature, top-k, top-p and penalties. The tolerance is on
    the mean absolute difference in nats; a shift by one token gives several.
    """
    with torch.no_grad():
        forced = ResponseModel(model)(batch, vocabulary).logp
    difference = (forced - generated.to(forced)).abs()
    mean, worst = (float(difference.mean()), float(difference.max())) if len(difference) else (0.0, 0.0)
    return Finding(
        "log-probabilities",
        mean <= tolerance,
        f"training's differ from generation's by {mean:.4f} nats a token in the mean (at most {worst:.4f})",
        "generate and train with the same weights, precision, processor and chat template",
    )


def masked_share(model: Any, report: MaskReport, scope: Scope) -> Finding:
    """The teacher really has the share of zeros that was asked for, counted afresh in its weights."""
    weights = sum(tensor.weights for tensor in report.tensors)
    share = count_zeros(model, scope) / weights
    return Finding(
        "mask",
        share >= report.asked - 1e-4 and abs(report.in_scope - report.asked) <= 1e-4,
        f"{share:.4%} of the weights in scope are zero, r = {report.asked:g} was asked "
        f"({report.effective:.4%} of all {report.parameters} weights are masked)",
        "restore the teacher and mask it again",
    )


def finite(parts: dict[str, Tensor]) -> Finding:
    """No part of the loss is NaN or infinite."""
    bad = [name for name, value in parts.items() if not bool(torch.isfinite(value).all())]
    shown = ", ".join(f"{name} = {float(value):g}" for name, value in parts.items())
    return Finding("loss", not bad, shown, "train in bf16 or fp32, and look at the batch for empty or foreign tokens")


#: Steps of the gradient check, as shares of the weights' norm. Near a minimum the first may overshoot; a wrong gradient
#: fails at every size.
STEPS = (1e-4, 1e-5, 1e-6)


def step_lowers_loss(
    parameters: Iterable[nn.Parameter], loss: Callable[[], Tensor], steps: Sequence[float] = STEPS
) -> Finding:
    """A small step against the gradient lowers the loss on its own batch; the weights are put back afterwards.

    `loss()` evaluates the batch with what is fixed held (`trainers.objective.Held`), else the policy term, whose value
    does not depend on the weights, would hide behind the others. A step moves the weights by a share of their norm; the
    next of `steps` is tried while the loss is not lower. Weights are kept on the CPU meanwhile.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    at_first = loss()
    found = torch.autograd.grad(at_first, trained, allow_unused=True)
    before = at_first.detach()
    pairs = [(p, gradient) for p, gradient in zip(trained, found, strict=True) if gradient is not None]
    saved = [parameter.detach().to("cpu", copy=True) for parameter, _ in pairs]
    size = torch.stack([gradient.float().norm() for _, gradient in pairs]).norm()
    weight = torch.stack([parameter.detach().float().norm() for parameter, _ in pairs]).norm()
    seen: list[float] = []
    with torch.no_grad():
        for step in steps:
            for parameter, gradient in pairs:
                parameter.sub_(gradient * (step * weight / size.clamp(min=1e-30)))
            after = loss()
            for (parameter, _), value in zip(pairs, saved, strict=True):
                parameter.copy_(value)
            seen.append(float(after))
            if after < before:
                break
    tried = ", ".join(f"{step:g}" for step in steps[: len(seen)])
    shown = ", ".join(f"{value:.6f}" for value in seen)
    return Finding(
        "gradient step",
        seen[-1] < float(before) or float(size) == 0.0,
        f"steps of {tried} of the weights' norm along the gradient took the loss from {float(before):.6f} to {shown}",
        "look at the batch and at the precision: the gradient is not that of this loss",
    )
