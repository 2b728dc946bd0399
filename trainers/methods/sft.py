"""Supervised fine-tuning: no teacher at all."""

from trainers.method import NO_POLICY, UNMASKED, Method

SFT = Method(
    "SFT",
    "Cross-entropy on the gold answers.",
    "gold",
    {**UNMASKED, **NO_POLICY, "divergence.weight": 0.0},
    likelihood=1.0,
)
