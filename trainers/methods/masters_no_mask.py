"""Control: Masters; the teacher is never masked."""

from trainers.method import UNMASKED, Method

METHOD = Method("Masters, no mask", "mixed", UNMASKED)
