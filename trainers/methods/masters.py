"""The method of the paper."""

from trainers.method import Method

MASTERS = Method(
    "Masters",
    "Progressively masked teacher, responses of both, accuracy and distillation reward, GRPO and divergence (Eq. 8).",
    "mixed",
)
