"""Control: Masters; one magnitude threshold for all layers."""

from trainers.method import Method

METHOD = Method("Masters, global threshold", "mixed", {"masking.criterion": "magnitude", "masking.threshold": "global"})
