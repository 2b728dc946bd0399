"""Distillation by KL(teacher || student)."""

from trainers.method import NO_POLICY, UNMASKED, Method

FORWARD_KL = Method(
    "Forward KL",
    "KL(teacher || student) on the gold answers, unmasked teacher.",
    "gold",
    {**UNMASKED, **NO_POLICY, "divergence.kind": "forward_kl"},
)
