"""Sequence-level distillation (Kim and Rush, 2016)."""

from trainers.method import NO_POLICY, UNMASKED, Method

SEQKD = Method(
    "SeqKD",
    "Cross-entropy on responses of the unmasked teacher.",
    "teacher",
    {**UNMASKED, **NO_POLICY, "divergence.weight": 0.0},
    likelihood=1.0,
)
