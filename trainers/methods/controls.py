"""Masters with one thing changed: what each part is worth."""

from trainers.method import UNMASKED, Method

RANDOM_MASK = Method(
    "Masters, random mask", "Masters; the same share of weights is masked at random.", "mixed",
    {"masking.criterion": "random"},
)  # fmt: skip
GLOBAL_MASK = Method(
    "Masters, global threshold", "Masters; one magnitude threshold for all layers.", "mixed",
    {"masking.criterion": "magnitude", "masking.threshold": "global"},
)  # fmt: skip
FIXED_MASK = Method(
    "Masters, fixed mask", "Masters; r stays at r_max in every stage.", "mixed",
    {"masking.order": "fixed", "masking.fixed_ratio": None},
)  # fmt: skip
NO_MASK = Method("Masters, no mask", "Masters; the teacher is never masked.", "mixed", UNMASKED)
REVERSED = Method(
    "Masters, reversed schedule", "Masters; r goes up from 0 to r_max.", "mixed", {"masking.order": "reversed"}
)
ACCURACY_ONLY = Method(
    "Masters, accuracy reward only", "Masters; no distillation reward.", "mixed", {"reward.distillation": 0.0}
)
DISTILLATION_ONLY = Method(
    "Masters, distillation reward only", "Masters; no accuracy reward.", "mixed", {"reward.accuracy": 0.0}
)
NO_REFERENCE = Method(
    "Masters, no reference KL", "Masters; the KL to the reference policy is left out.", "mixed", {"policy.kl": 0.0}
)
NO_DIVERGENCE = Method(
    "Masters, no divergence", "Masters; GRPO alone, without the divergence.", "mixed", {"divergence.weight": 0.0}
)
