"""Divergence to the unmasked teacher on the gold answers (the paper's "+Large Teacher")."""

from trainers.method import NO_POLICY, UNMASKED, Method

METHOD = Method("Naive KD", "gold", {**UNMASKED, **NO_POLICY})
