"""Mini AI2D with readable labels: nodes and layers carry white symbols, and the questions name these."""

from __future__ import annotations

from tasks.mini.diagrams import rows_of
from tasks.mini.scenes import diagrams

rows = rows_of(
    "ai2d_no_mask",
    after=diagrams.arrow_next_label,
    two=diagrams.arrow_two_label,
    end=diagrams.arrow_end_label,
    layer=diagrams.layer_label,
    part=diagrams.part_label,
)
