"""Mini ChartQA: charts of real tables; the human half compares and computes, the augmented half reads."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import SIZE, Row, draws
from tasks.mini.scenes import charts
from tasks.mini.scenes.words import say

PLAN = (
    (
        "human",
        (
            charts.bar_difference,
            charts.bar_compare,
            charts.bar_beside,
            charts.bar_above,
            charts.line_trend,
            charts.bar_sum,
            charts.legend_value,
        ),
    ),
    ("augmented", (charts.bar_value, charts.bar_extreme, charts.bar_value, charts.pie_extreme)),
)


def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` questions in the columns of ChartQA_TEST.tsv, human and augmented in turn."""
    for drawn in draws("chartqa", PLAN, split, SIZE if size is None else size, seed):
        answer = say(drawn.item.answer)
        yield {
            **drawn.columns(),
            "question": drawn.item.question.say(),
            "answer": answer,
            "split": f"test_{drawn.label}",
            "target": answer,
        }
