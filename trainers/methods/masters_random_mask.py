"""Control: Masters; the same share of weights is masked at random."""

from trainers.method import Method

METHOD = Method("Masters, random mask", "mixed", {"masking.criterion": "random"})
