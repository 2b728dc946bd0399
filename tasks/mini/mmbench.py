"""The four mini MMBench editions: categories, abilities and the skills that stand for them."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import GROUPS, Row, Rows, circular, draws
from tasks.mini.scenes import charts, objects

_COARSE = "coarse_perception"
_INSTANCE = "finegrained_perception (instance-level)"
_CROSS = "finegrained_perception (cross-instance)"
_LOGIC = "logic_reasoning"
_RELATION = "relation_reasoning"
_ATTRIBUTE = "attribute_reasoning"

#: Category -> (ability, skills).
CATEGORIES = {
    "Image Style": (_COARSE, (objects.odd_one,)),
    "Image Scene": (_COARSE, (objects.count_all,)),
    "Image Emotion": (_COARSE, (charts.line_trend,)),
    "Image Quality": (_COARSE, (objects.depth,)),
    "Image Topic": (_COARSE, (charts.pie_extreme,)),
    "Object Localization": (_INSTANCE, (objects.place,)),
    "Attribute Recognition": (_INSTANCE, (objects.color_of, objects.shape_of)),
    "Celebrity Recognition": (_INSTANCE, (objects.shape_of, objects.count_kind)),
    "OCR": (_INSTANCE, (charts.bar_value,)),
    "Spatial Relationship": (_CROSS, (objects.relation,)),
    "Attribute Comparison": (_CROSS, (objects.size_extreme, objects.more)),
    "Action Recognition": (_CROSS, (objects.relation_check,)),
    "Structuralized Imagetext Understanding": (_LOGIC, (charts.table_cell, charts.legend_value)),
    "Future Prediction": (_LOGIC, (charts.line_trend, charts.bar_beside)),
    "Social Relation": (_RELATION, (objects.beside,)),
    "Nature Relation": (_RELATION, (objects.more,)),
    "Physical Relation": (_RELATION, (objects.depth,)),
    "Physical Property Reasoning": (_ATTRIBUTE, (objects.size_extreme,)),
    "Function Reasoning": (_ATTRIBUTE, (charts.bar_extreme,)),
    "Identity Reasoning": (_ATTRIBUTE, (objects.count_color, objects.count_shape)),
}


def rows_of(task: str, chinese: bool = False) -> Rows:
    """The generator of one edition; `size` counts groups, every group has as many passes as options."""
    plan = tuple((category, skills) for category, (_, skills) in CATEGORIES.items())

    def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
        """Passes of `size` circular groups in the columns of MMBench_DEV_EN.tsv."""
        for drawn in draws(task, plan, split, GROUPS if size is None else size, seed):
            for row in circular(drawn, chinese):
                yield {**row, "category": drawn.label, "l2-category": CATEGORIES[drawn.label][0], "split": "dev"}

    return rows
