"""Control: Masters without the distillation reward."""

from trainers.method import Method

METHOD = Method("Masters, accuracy reward only", "mixed", {"reward.distillation": 0.0})
