"""DistiLLM (arXiv 2402.03898): skew KL on gold answers and responses of the student."""

from trainers.method import NO_POLICY, UNMASKED, Method

DISTILLM = Method(
    "DistiLLM",
    "Skew KL to the unmasked teacher, half on gold answers and half on responses of the student.",
    "half_student",
    {**UNMASKED, **NO_POLICY, "divergence.kind": "skew_kl"},
)
