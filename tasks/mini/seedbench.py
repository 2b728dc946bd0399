"""Mini SEED-Bench (images): four options, nine dimensions."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import SIZE, Row, choice_row, concluded, draws
from tasks.mini.scenes import charts, objects

PLAN = (
    ("Instance Attributes", (objects.color_of, objects.shape_of)),
    ("Scene Understanding", (objects.count_all, objects.odd_one)),
    ("Instances Counting", (objects.count_color, objects.count_shape, objects.count_kind)),
    ("Instance Identity", (objects.shape_of, objects.color_of)),
    ("Instance Location", (objects.place,)),
    ("Spatial Relation", (objects.relation,)),
    ("Visual Reasoning", (objects.beside, charts.bar_beside)),
    ("Instance Interaction", (objects.relation, objects.odd_one)),
    ("Text Understanding", (charts.table_cell, charts.bar_value)),
)


def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` questions in the columns of SEEDBench_IMG.tsv; the target ends with `answer: (X)`."""
    for drawn in draws("seedbench", PLAN, split, SIZE if size is None else size, seed):
        row = choice_row(drawn)
        yield {**row, "category": drawn.label, "target": concluded(drawn.item, str(row["answer"]))}
