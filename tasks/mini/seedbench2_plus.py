"""Mini SEED-Bench-2-Plus: charts of real tables, maps and pages."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import SIZE, Row, choice_row, concluded, draws
from tasks.mini.scenes import charts, diagrams

PLAN = (
    ("chart", (charts.bar_value, charts.bar_extreme, charts.legend_value, charts.pie_extreme, charts.bar_difference)),
    ("map", (diagrams.map_marker, diagrams.map_side, diagrams.arrow_next)),
    ("web", (diagrams.page_part, diagrams.page_button, diagrams.page_place)),
)


def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` questions in the columns of SEEDBench2_Plus.tsv; the target ends with `answer: (X)`."""
    for drawn in draws("seedbench2_plus", PLAN, split, SIZE if size is None else size, seed):
        row = choice_row(drawn)
        yield {**row, "category": drawn.label, "target": concluded(drawn.item, str(row["answer"]))}
