"""Circular groups: one question asked several times with its options shifted; right only if every pass is right.

Source: VLMEvalKit mcq_circular_eval. Pass k of question i has the index i + k * 1_000_000; i is the main row.
"""

from __future__ import annotations

from harness.api import Sample

PASS_STEP = 1_000_000


def group_index(index: str) -> str:
    """The index of the main row of the circular group that a row belongs to; ValueError if it is no number."""
    if not index.isdecimal():
        raise ValueError(f"the index {index!r} is not a number, so its circular group is unknown")
    return str(int(index) % PASS_STEP)


def circular_group(sample: Sample) -> tuple[str, bool]:
    """(name of the group, whether the sample is its main row); the sample's id is its index in the TSV."""
    main = group_index(sample.id)
    return main, main == sample.id
