"""Control: Masters without the accuracy reward."""

from trainers.method import Method

METHOD = Method("Masters, distillation reward only", "mixed", {"reward.accuracy": 0.0})
