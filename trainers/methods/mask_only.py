"""Distillation from the progressively masked teacher, without reinforcement (Eq. 4 and Eq. 5)."""

from trainers.method import NO_POLICY, Method

GOLD = Method(
    "Mask-only", "Divergence to the progressively masked teacher on the gold answers (Eq. 4).", "gold", NO_POLICY
)
MULTI = Method(
    "Mask-only, multi-response",
    "Divergence to the progressively masked teacher on responses of teacher and student (Eq. 5).",
    "mixed",
    NO_POLICY,
)
