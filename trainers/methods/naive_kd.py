"""Distillation from the whole teacher (the paper's "+Large Teacher")."""

from trainers.method import NO_POLICY, UNMASKED, Method

GOLD = Method("Naive KD", "Divergence to the unmasked teacher on the gold answers.", "gold", {**UNMASKED, **NO_POLICY})
MULTI = Method(
    "Naive KD, multi-response",
    "Divergence to the unmasked teacher on responses of teacher and student.",
    "mixed",
    {**UNMASKED, **NO_POLICY},
)
