"""GKD (arXiv 2306.13649): JSD to the unmasked teacher, half on gold answers and half on what the student says."""

from trainers.method import NO_POLICY, UNMASKED, Method

METHOD = Method("GKD", "half_student", {**UNMASKED, **NO_POLICY})
