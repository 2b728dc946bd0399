"""Divergence to the unmasked teacher on responses of teacher and student."""

from trainers.method import NO_POLICY, UNMASKED, Method

METHOD = Method("Naive KD, multi-response", "mixed", {**UNMASKED, **NO_POLICY})
