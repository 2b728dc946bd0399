"""Mini MathVista: multiple-choice and free-form questions (integer, float, list), the hint before the question."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from harness.scoring.mathvista_prompts import hint, query
from tasks.mini.build import SIZE, Row, draws, options, reasoned, sentence
from tasks.mini.scenes import charts, diagrams, objects, puzzles
from tasks.mini.scenes.item import Skill
from tasks.mini.scenes.words import say

CHOICE, FREE = "multi_choice", "free_form"


class Kind(NamedTuple):
    """A kind of question: how it is answered, and what MathVista's tables say about it."""

    question_type: str
    answer_type: str
    precision: int | None
    task: str
    context: str
    skills: tuple[str, ...]


_FIGURE, _GEOMETRY, _WORD = "figure question answering", "geometry problem solving", "math word problem"
_BOOK, _VISUAL = "textbook question answering", "visual question answering"
KINDS: dict[Kind, tuple[Skill, ...]] = {
    Kind(CHOICE, "text", None, _FIGURE, "bar chart", ("statistical reasoning",)): (
        charts.bar_extreme,
        charts.bar_beside,
        charts.bar_compare,
    ),
    Kind(FREE, "integer", None, _FIGURE, "bar chart", ("statistical reasoning", "arithmetic reasoning")): (
        charts.bar_value,
        charts.bar_difference,
        charts.bar_sum,
    ),
    Kind(CHOICE, "text", None, _GEOMETRY, "geometry diagram", ("geometry reasoning",)): (
        objects.size_extreme,
        puzzles.symmetry,
        objects.relation,
    ),
    Kind(FREE, "integer", None, _WORD, "synthetic scene", ("arithmetic reasoning",)): (puzzles.subtract, puzzles.add),
    Kind(CHOICE, "text", None, _BOOK, "scientific figure", ("scientific reasoning",)): (
        diagrams.arrow_next,
        diagrams.layer_label,
    ),
    Kind(FREE, "integer", None, _VISUAL, "synthetic scene", ("numeric commonsense",)): (
        objects.count_kind,
        puzzles.clock,
    ),
    Kind(CHOICE, "text", None, _FIGURE, "puzzle test", ("logical reasoning",)): (puzzles.matrix, objects.odd_one),
    Kind(FREE, "float", 1, _FIGURE, "bar chart", ("statistical reasoning", "algebraic reasoning")): (puzzles.bar_half,),
    Kind(CHOICE, "text", None, _FIGURE, "table", ("statistical reasoning",)): (charts.table_cell, charts.pie_extreme),
    Kind(FREE, "float", 2, _WORD, "bar chart", ("arithmetic reasoning", "algebraic reasoning")): (puzzles.bar_quarter,),
    Kind(CHOICE, "text", None, _VISUAL, "synthetic scene", ("logical reasoning",)): (objects.more, objects.beside),
    Kind(FREE, "list", None, _FIGURE, "bar chart", ("statistical reasoning",)): (puzzles.bar_list,),
}


def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` questions in the columns of MathVista_MINI.tsv; `question` is the whole query."""
    names = {f"{kind.question_type} {number}": kind for number, kind in enumerate(KINDS)}
    plan = tuple((name, KINDS[kind]) for name, kind in names.items())
    for drawn in draws("mathvista", plan, split, SIZE if size is None else size, seed):
        kind, answer, letter, choices = names[drawn.label], say(drawn.item.answer), None, []
        if kind.question_type == CHOICE:
            words, letter = options(drawn)
            choices = [say(word) for word in words]
        asked = hint(kind.question_type, kind.answer_type, kind.precision)
        if letter is not None:
            target = reasoned(drawn.item, letter)
        else:
            target = answer if kind.answer_type == "list" else sentence(drawn.item)
        yield {
            **drawn.columns(),
            "question": query(asked, drawn.item.question.say(), "", choices),
            "answer": answer,
            "answer_option": letter,
            "choices": json.dumps(choices) if choices else None,
            "unit": None,
            "precision": kind.precision,
            "question_type": kind.question_type,
            "answer_type": kind.answer_type,
            "language": "english",
            "source": "mini",
            "category": "math-targeted-vqa" if kind.task in (_GEOMETRY, _WORD) else "general-vqa",
            "task": kind.task,
            "context": kind.context,
            "grade": "daily life",
            "skills": json.dumps(kind.skills),
            "target": target,
        }
