"""Mini BLINK: fourteen tasks, most of them about two to four pictures."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import SIZE, Row, choice_row, draws, reasoned
from tasks.mini.scenes import objects, pairs, puzzles

PLAN = (
    ("Art_Style", (pairs.style,)),
    ("Counting", (objects.count_kind, objects.count_shape)),
    ("Forensic_Detection", (pairs.edited,)),
    ("Functional_Correspondence", (pairs.match_color,)),
    ("IQ_Test", (puzzles.matrix,)),
    ("Jigsaw", (pairs.jigsaw,)),
    ("Multi-view_Reasoning", (pairs.camera,)),
    ("Object_Localization", (puzzles.tight_box,)),
    ("Relative_Depth", (puzzles.nearer,)),
    ("Relative_Reflectance", (puzzles.darker,)),
    ("Semantic_Correspondence", (pairs.match_shape,)),
    ("Spatial_Relation", (objects.relation_check,)),
    ("Visual_Correspondence", (pairs.match_object,)),
    ("Visual_Similarity", (pairs.similarity,)),
)


def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` questions in the columns of BLINK.tsv; the target names the letter in brackets."""
    for drawn in draws("blink", PLAN, split, SIZE if size is None else size, seed):
        row = choice_row(drawn)
        yield {**row, "category": drawn.label, "target": reasoned(drawn.item, str(row["answer"]))}
