"""Distillation by KL(student || teacher) on what the student says (as on-policy distillation does)."""

from trainers.method import NO_POLICY, UNMASKED, Method

REVERSE_KL = Method(
    "Reverse KL",
    "KL(student || teacher) on responses of the student, unmasked teacher.",
    "student",
    {**UNMASKED, **NO_POLICY, "divergence.kind": "reverse_kl"},
)
