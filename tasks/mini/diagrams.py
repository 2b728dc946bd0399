"""The two mini AI2D editions: categories of diagrams and the skills that stand for them."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import SIZE, Row, Rows, choice_row, concluded, draws
from tasks.mini.scenes.item import Skill


def rows_of(task: str, *, after: Skill, two: Skill, end: Skill, layer: Skill, part: Skill) -> Rows:
    """The generator of one edition from its skills: one arrow, two arrows, ends of a chain, layers, parts."""
    plan = (
        ("foodChainsWebs", (after, two)),
        ("lifeCycles", (after, end)),
        ("rockStrata", (layer,)),
        ("partsOfA", (part,)),
        ("waterCNPCycle", (two, after)),
        ("partsOfTheEarth", (layer,)),
        ("photosynthesisRespiration", (after, end)),
        ("typesOf", (part, layer)),
        ("circuits", (two, end)),
    )

    def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
        """`size` questions in the columns of AI2D_TEST.tsv; the target ends with `answer: (X)`."""
        for drawn in draws(task, plan, split, SIZE if size is None else size, seed):
            row = choice_row(drawn)
            yield {**row, "category": drawn.label, "target": concluded(drawn.item, str(row["answer"]))}

    return rows
