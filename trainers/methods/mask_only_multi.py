"""Divergence to the progressively masked teacher on responses of teacher and student (Eq. 5)."""

from trainers.method import NO_POLICY, Method

METHOD = Method("Mask-only, multi-response", "mixed", NO_POLICY)
