"""Mini AI2D with masked labels: nodes and layers are told apart by colour."""

from __future__ import annotations

from tasks.mini.diagrams import rows_of
from tasks.mini.scenes import diagrams

rows = rows_of(
    "ai2d",
    after=diagrams.arrow_next,
    two=diagrams.arrow_two,
    end=diagrams.arrow_end,
    layer=diagrams.layer,
    part=diagrams.part,
)
