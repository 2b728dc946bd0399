"""Sequence-level distillation (Kim and Rush, 2016): cross-entropy on responses of the unmasked teacher."""

from trainers.method import NO_POLICY, UNMASKED, Method

METHOD = Method("SeqKD", "teacher", {**UNMASKED, **NO_POLICY, "divergence.weight": 0.0}, likelihood=1.0)
