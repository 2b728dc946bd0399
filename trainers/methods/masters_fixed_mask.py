"""Control: Masters; r stays at r_max in every stage."""

from trainers.method import Method

METHOD = Method("Masters, fixed mask", "mixed", {"masking.order": "fixed", "masking.fixed_ratio": None})
