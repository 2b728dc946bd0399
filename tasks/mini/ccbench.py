"""Mini CCBench: circular groups in Chinese over the seven categories."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import GROUPS, Row, circular, draws
from tasks.mini.scenes import charts, diagrams, objects

PLAN = (
    ("风景与建筑 (Scenery Building)", (diagrams.map_marker, diagrams.map_side)),
    ("文物 (Cultural Relic)", (objects.shape_of,)),
    ("传统戏剧 (Traditional Show)", (objects.relation,)),
    ("书画 (Calligraphy Painting)", (objects.odd_one, objects.place)),
    ("历史人物 (Historical Figure)", (diagrams.arrow_next,)),
    ("图像推理 (Sketch Reasoning)", (charts.bar_beside, objects.beside)),
    ("食物与服饰 (Food Clothes)", (objects.color_of, objects.count_kind)),
)


def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """Passes of `size` circular groups in the columns of CCBench.tsv."""
    for drawn in draws("ccbench", PLAN, split, GROUPS if size is None else size, seed):
        for row in circular(drawn, chinese=True):
            yield {**row, "category": drawn.label, "split": "dev"}
