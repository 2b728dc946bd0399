"""Control: Masters; r goes up from 0 to r_max."""

from trainers.method import Method

METHOD = Method("Masters, reversed schedule", "mixed", {"masking.order": "reversed"})
