"""KL(student || teacher) on responses of the student, unmasked teacher (on-policy distillation)."""

from trainers.method import NO_POLICY, UNMASKED, Method

METHOD = Method("Reverse KL", "student", {**UNMASKED, **NO_POLICY, "divergence.kind": "reverse_kl"})
