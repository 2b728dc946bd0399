"""DistiLLM (arXiv 2402.03898): skew KL to the unmasked teacher, half gold and half what the student says."""

from trainers.method import NO_POLICY, UNMASKED, Method

METHOD = Method("DistiLLM", "half_student", {**UNMASKED, **NO_POLICY, "divergence.kind": "skew_kl"})
