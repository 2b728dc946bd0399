"""Mini RealWorldQA: half with options, half open; an open question carries the authors' own instruction."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import SIZE, Row, choice_row, concluded, draws, lettered
from tasks.mini.scenes import diagrams, objects, puzzles
from tasks.mini.scenes.words import say
from tasks.realworldqa import WORD_OR_NUMBER

PLAN = (
    ("letter", (puzzles.nearer, objects.relation, diagrams.map_marker, objects.place, objects.depth)),
    ("open", (objects.count_shape, objects.relation_check, objects.color_of, objects.count_color, objects.shape_of)),
)


def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` questions in the columns of RealWorldQA.tsv; an open row has no options; a word or number answers it."""
    for drawn in draws("realworldqa", PLAN, split, SIZE if size is None else size, seed):
        if drawn.label == "letter":
            row = choice_row(drawn)
            target = concluded(drawn.item, str(row["answer"]))
        else:
            question = f"{drawn.item.question.say()}\n{WORD_OR_NUMBER}"
            row = {**drawn.columns(), "question": question, **lettered([]), "answer": say(drawn.item.answer)}
            target = say(drawn.item.answer)
        yield {**row, "target": target}
