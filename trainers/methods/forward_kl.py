"""KL(teacher || student) on the gold answers, unmasked teacher."""

from trainers.method import NO_POLICY, UNMASKED, Method

METHOD = Method("Forward KL", "gold", {**UNMASKED, **NO_POLICY, "divergence.kind": "forward_kl"})
