"""Control: Masters by GRPO alone, without the divergence."""

from trainers.method import Method

METHOD = Method("Masters, no divergence", "mixed", {"divergence.weight": 0.0})
