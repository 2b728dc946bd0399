"""Eq. 8 of the paper: GRPO over a mixed group of responses plus the divergence to the masked teacher.

Shapes: N response tokens in a flat row, `response` [N] says which of the R responses a token belongs to, `group` [R]
says which question a response answers. Groups may differ in size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trainers.divergence import Divergence, TokenSignals
from trainers.recipe import Recipe


class Layout(NamedTuple):
    """Where tokens and responses belong: `response` [N] in 0..R-1, `group` [R] in 0..groups-1 (both int64)."""

    response: Tensor
    group: Tensor

    @property
    def lengths(self) -> Tensor:
        """Tokens of each response, int64 [R]."""
        return torch.bincount(self.response, minlength=len(self.group))


@dataclass(frozen=True, slots=True)
class Objective:
    """Weights and choices of the loss. The defaults are the paper's, or ours where it is silent (docs/method.md)."""

    policy: float = 1.0
    divergence: float = 1.0
    likelihood: float = 0.0
    kl: float = 0.1
    accuracy_reward: float = 1.0
    distillation_reward: float = 1.0
    gate_by_accuracy: bool = False
    normalise_distillation: Literal["group", "none"] = "group"
    advantage_scale: Literal["std", "none"] = "std"
    advantage_epsilon: float = 1e-4
    advantage_ddof: int = 1
    divergence_of_response: Literal["mean", "sum"] = "mean"


def objective_of(recipe: Recipe) -> Objective:
    """The loss that a recipe asks for."""
    return Objective(
        policy=recipe.policy.weight,
        divergence=recipe.divergence.weight,
        kl=recipe.policy.kl,
        accuracy_reward=recipe.reward.accuracy,
        distillation_reward=recipe.reward.distillation,
        gate_by_accuracy=recipe.reward.gate_by_accuracy,
        normalise_distillation=recipe.reward.normalise,
        advantage_scale=recipe.policy.advantage,
        advantage_epsilon=recipe.policy.epsilon,
        advantage_ddof=recipe.policy.ddof,
        divergence_of_response=recipe.divergence.of_response,
    )


def divergence_of(recipe: Recipe) -> Divergence:
    """The divergence that a recipe asks for."""
    d = recipe.divergence
    return Divergence(d.kind, d.beta, d.skew, d.temperature)


class Loss(NamedTuple):
    """The loss (a scalar with gradient) and what a log or a reward study needs, detached: parts, then per response."""

    total: Tensor
    parts: dict[str, Tensor]
    divergence: Tensor
    distillation_reward: Tensor
    reward: Tensor
    advantage: Tensor
    kl: Tensor


class Held(NamedTuple):
    """What stays fixed when the same batch is evaluated again after an update: its log-probabilities [N] and advantages
    [R] before it. With it the ratio is pi / pi_old, so that the loss shows what the update did.
    """

    logp: Tensor
    advantage: Tensor


def response_sums(values: Tensor, layout: Layout) -> Tensor:
    """The sum of a token value [N] over each response [R]; 0 for a response without tokens."""
    return values.new_zeros(len(layout.group)).index_add(0, layout.response, values)


def response_means(values: Tensor, layout: Layout) -> Tensor:
    """The mean of a token value [N] over each response [R]; 0 for a response without tokens."""
    return response_sums(values, layout) / layout.lengths.clamp(min=1)


def _extreme(values: Tensor, group: Tensor, how: Literal["amin", "amax"]) -> Tensor:
    """Minimum or maximum of each response's group, given back to the responses [R]."""
    groups = int(group.max()) + 1 if len(group) else 0
    return values.new_zeros(groups).scatter_reduce(0, group, values, how, include_self=False)[group]


def distillation_rewards(divergence: Tensor, group: Tensor, normalise: Literal["group", "none"] = "group") -> Tensor:
    """(D_max - D) / (D_max - D_min) within each question (Eq. 6): 1 for the response nearest the teacher, 0 for the
    farthest; 0 for all where D_max = D_min. `none` is -D, the unnormalised control of Table 5(e). [R], no gradient.
    """
    d = divergence.detach()
    if normalise == "none":
        return -d
    low, high = _extreme(d, group, "amin"), _extreme(d, group, "amax")
    span = high - low
    return torch.where(span > 0, (high - d) / torch.where(span > 0, span, 1.0), 0.0)


def group_advantages(
    reward: Tensor, group: Tensor, scale: Literal["std", "none"] = "std", epsilon: float = 1e-4, ddof: int = 1
) -> Tensor:
    """(R - mean) / (std + epsilon) within each question [R]; 0 where a group has one response or equal rewards."""
    size = torch.bincount(group).to(reward.dtype)
    mean = reward.new_zeros(len(size)).index_add(0, group, reward) / size.clamp(min=1)
    centred = torch.where(_extreme(reward, group, "amin") == _extreme(reward, group, "amax"), 0.0, reward - mean[group])
    if scale == "none":
        return centred
    variance = reward.new_zeros(len(size)).index_add(0, group, centred.square()) / (size - ddof).clamp(min=1)
    return centred / (variance.sqrt()[group] + epsilon)


def _advantages(reward: Tensor, layout: Layout, objective: Objective) -> Tensor:
    return group_advantages(
        reward, layout.group, objective.advantage_scale, objective.advantage_epsilon, objective.advantage_ddof
    )


def k3(logp: Tensor, reference_logp: Tensor) -> Tensor:
    """Schulman's k3 estimate of KL(student || reference) per token: exp(d) - d - 1 with d = reference - student."""
    d = reference_logp - logp
    return d.exp() - d - 1


def rewards(accuracy: Tensor, distillation: Tensor, objective: Objective) -> Tensor:
    """R = R_acc + R_distill (Eq. 7) with the objective's weights [R]; gated, only correct responses get the latter."""
    gate = accuracy if objective.gate_by_accuracy else torch.ones_like(accuracy)
    return objective.accuracy_reward * accuracy + objective.distillation_reward * gate * distillation


def loss_of_batch(
    signals: TokenSignals,
    layout: Layout,
    objective: Objective,
    accuracy: Tensor | None = None,
    reference_logp: Tensor | None = None,
    responses_in_step: int | None = None,
    held: Held | None = None,
) -> Loss:
    """Eq. 8: the mean over responses of [-(ratio * A - kl * k3), mean over tokens] + D.

    The ratio exp(logp - logp.detach()) is 1 with the policy's gradient, as the student is updated once per iteration
    (App. B). `accuracy` [R] is R_acc (needed where policy > 0), `reference_logp` [N] the reference's log-probability
    (needed where kl > 0 and policy > 0). A batch cut into micro-batches passes the number of responses of the whole
    step, so that accumulated gradients are those of one large batch. Whole groups must be in one batch.
    """
    logp, d_token = signals
    d_response = (response_means if objective.divergence_of_response == "mean" else response_sums)(d_token, layout)
    count = len(layout.group) if responses_in_step is None else responses_in_step
    zeros = torch.zeros_like(d_response)
    given = zeros if accuracy is None else accuracy.to(d_response)
    nearness = distillation_rewards(d_response, layout.group, objective.normalise_distillation)
    reward = rewards(given, nearness, objective).detach()
    advantage = zeros
    parts: dict[str, Tensor] = {}
    kl_response = zeros
    if objective.policy > 0:
        if accuracy is None:
            raise ValueError("the policy term needs the accuracy of each response")
        advantage = held.advantage if held else _advantages(reward, layout, objective)
        ratio = (logp - (held.logp if held else logp).detach()).exp()
        policy_response = -response_means(ratio * advantage[layout.response], layout)
        if objective.kl > 0:
            if reference_logp is None:
                raise ValueError("the KL term needs the reference's log-probabilities")
            kl_response = response_means(k3(logp, reference_logp.to(logp)), layout)
        parts["policy"] = objective.policy * policy_response.sum() / count
        parts["kl"] = objective.policy * objective.kl * kl_response.sum() / count
    if objective.divergence > 0:
        parts["divergence"] = objective.divergence * d_response.sum() / count
    if objective.likelihood > 0:
        parts["likelihood"] = -objective.likelihood * response_means(logp, layout).sum() / count
    total = torch.stack(list(parts.values())).sum()
    return Loss(
        total,
        {name: part.detach() for name, part in parts.items()},
        d_response.detach(),
        nearness,
        reward,
        advantage,
        kl_response.detach(),
    )
