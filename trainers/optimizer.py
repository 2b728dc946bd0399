"""AdamW with the recipe's learning rate over time."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from trainers.recipe import Optimizer


def build_optimizer(module: nn.Module, settings: Optimizer) -> torch.optim.AdamW:
    """AdamW over the trained parameters; weight decay leaves vectors (norms, biases) alone."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=settings.lr, betas=settings.betas, eps=settings.epsilon
    )


def learning_rate(settings: Optimizer, step: int, steps: int) -> float:
    """The learning rate of a step (from 0) of a training of `steps`."""
    if step < settings.warmup_steps:
        return settings.lr * (step + 1) / settings.warmup_steps
    left = max(1, steps - settings.warmup_steps)
    share = (step - settings.warmup_steps) / left
    if settings.schedule == "linear":
        return settings.lr * (1 - share)
    if settings.schedule == "cosine":
        return settings.lr * 0.5 * (1 + math.cos(math.pi * share))
    return settings.lr


def set_learning_rate(optimizer: Any, rate: float) -> None:
    """The learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate
