"""The paper's method: progressively masked teacher, responses of both, both rewards, GRPO and divergence (Eq. 8)."""

from trainers.method import Method

METHOD = Method("Masters", "mixed")
