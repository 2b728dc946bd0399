"""Divergence to the progressively masked teacher on the gold answers, without reinforcement (Eq. 4)."""

from trainers.method import NO_POLICY, Method

METHOD = Method("Mask-only", "gold", NO_POLICY)
