"""Supervised fine-tuning: cross-entropy on the gold answers, no teacher."""

from trainers.method import NO_POLICY, UNMASKED, Method

METHOD = Method("SFT", "gold", {**UNMASKED, **NO_POLICY, "divergence.weight": 0.0}, likelihood=1.0)
