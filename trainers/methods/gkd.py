"""Generalised knowledge distillation (arXiv 2306.13649)."""

from trainers.method import NO_POLICY, UNMASKED, Method

GKD = Method(
    "GKD",
    "JSD to the unmasked teacher, half on gold answers and half on responses of the student (lambda = 0.5).",
    "half_student",
    {**UNMASKED, **NO_POLICY},
)
