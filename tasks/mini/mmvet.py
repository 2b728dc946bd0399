"""Mini MM-Vet: open questions with sets of capabilities; golds with <AND> and <OR>; answers are short sentences."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import SIZE, Row, draws, sentence
from tasks.mini.scenes import charts, diagrams, objects, pairs, puzzles
from tasks.mini.scenes.words import Text, Word

#: Capabilities -> skills.
PLAN = (
    ("rec", (objects.color_of, objects.shape_of)),
    ("ocr", (charts.bar_value, charts.bar_extreme)),
    ("rec,spat", (objects.relation, objects.place)),
    ("ocr,math", (charts.bar_difference, charts.bar_sum)),
    ("rec,gen", (puzzles.describe,)),
    ("ocr,spat", (charts.table_cell, diagrams.page_place)),
    ("rec,math", (puzzles.subtract, puzzles.add)),
    ("rec,know", (diagrams.arrow_next, diagrams.layer)),
    ("ocr,rec", (puzzles.bar_ends, charts.legend_value)),
    ("rec,ocr,spat", (objects.beside, charts.bar_beside)),
    ("rec,know,gen", (puzzles.object_at,)),
    ("rec,gen,spat", (pairs.new_object,)),
)
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def gold(answer: Word) -> str:
    """Every word of the answer is needed (<AND>); a number may be written in either way (<OR>)."""
    if isinstance(answer, Text):
        return "<AND>".join(gold(word) for word in answer.words)
    return f"{answer}<OR>{_NUMBERS[answer]}" if isinstance(answer, int) else answer


def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` questions in the columns of MMVet.tsv: category is the set of capabilities."""
    for drawn in draws("mmvet", PLAN, split, SIZE if size is None else size, seed):
        yield {
            **drawn.columns(),
            "question": drawn.item.question.say(),
            "answer": gold(drawn.item.answer),
            "category": drawn.label,
            "target": f"{sentence(drawn.item)}.",
        }
