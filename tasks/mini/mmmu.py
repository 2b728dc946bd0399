"""Mini MMMU: 30 subjects, `<image N>` in the text (also out of order), one question in seven open."""

from __future__ import annotations

from collections.abc import Iterator

from tasks._disciplines import DISCIPLINE
from tasks.mini.build import SIZE, Drawn, Row, choice_row, draws, lettered, reasoned, sentence
from tasks.mini.scenes import charts, diagrams, objects, pairs, puzzles
from tasks.mini.scenes.item import flip
from tasks.mini.scenes.words import say

OPEN_EVERY = 7
PLAN = (
    ("Art", (puzzles.object_at, objects.color_of)),
    ("Art_Theory", (objects.odd_one, objects.depth)),
    ("Design", (diagrams.page_part, diagrams.page_button)),
    ("Music", (puzzles.matrix, objects.count_all)),
    ("Accounting", (charts.bar_difference, charts.table_cell)),
    ("Economics", (charts.bar_value, charts.line_trend)),
    ("Finance", (charts.bar_sum, charts.bar_extreme)),
    ("Manage", (diagrams.arrow_next, diagrams.arrow_two)),
    ("Marketing", (charts.pie_extreme, charts.bar_above)),
    ("Biology", (diagrams.arrow_next_label, diagrams.part_label)),
    ("Chemistry", (puzzles.count_ten, objects.count_kind)),
    ("Geography", (diagrams.map_marker, diagrams.map_side)),
    ("Math", (puzzles.bar_half, puzzles.clock)),
    ("Physics", (objects.relation, pairs.match_shape)),
    ("Basic_Medical_Science", (diagrams.part, pairs.match_object)),
    ("Clinical_Medicine", (pairs.difference, puzzles.darker)),
    ("Diagnostics_and_Laboratory_Medicine", (pairs.new_object, objects.count_color)),
    ("Pharmacy", (puzzles.subtract, puzzles.add)),
    ("Public_Health", (charts.bar_extreme, charts.bar_above)),
    ("History", (diagrams.arrow_end, pairs.similarity)),
    ("Literature", (charts.table_cell, objects.shape_of)),
    ("Psychology", (puzzles.matrix, pairs.match_color)),
    ("Sociology", (charts.legend_value, objects.size_extreme)),
    ("Agriculture", (objects.count_shape, diagrams.layer)),
    ("Architecture_and_Engineering", (objects.place, diagrams.layer_label)),
    ("Computer_Science", (diagrams.arrow_two_label, diagrams.page_place)),
    ("Electronics", (diagrams.arrow_two, puzzles.bar_quarter)),
    ("Energy_and_Power", (charts.bar_value, charts.bar_beside)),
    ("Materials", (objects.beside, puzzles.object_at)),
    ("Mechanical_Engineering", (puzzles.clock, objects.relation)),
)


def placed(drawn: Drawn, row: Row) -> Row:
    """The row with `<image N>` in its question; every second time several images are stored out of order."""
    question, shown = str(row["question"]), row["image"]
    if not isinstance(shown, list):
        return {**row, "question": f"<image 1> {question}" if flip(drawn.rng) else f"{question} <image 1>"}
    numbers = list(range(len(shown)))
    if flip(drawn.rng):
        numbers = [int(number) for number in drawn.rng.permutation(len(shown))]
    stored = [b""] * len(shown)
    for picture, number in zip(shown, numbers, strict=True):
        stored[number] = picture
    names = " ".join(f"<image {number + 1}>" for number in numbers)
    return {**row, "question": f"{names} {question}", "image": stored}


def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` questions in the columns of MMMU_DEV_VAL.tsv; an open row has no options."""
    for drawn in draws("mmmu", PLAN, split, SIZE if size is None else size, seed):
        if drawn.number % OPEN_EVERY == OPEN_EVERY - 1:
            answer = say(drawn.item.answer)
            row = {**drawn.columns(), "question": drawn.item.question.say(), **lettered([]), "answer": answer}
            target = sentence(drawn.item)
        else:
            row = choice_row(drawn)
            target = reasoned(drawn.item, str(row["answer"]))
        yield {
            **placed(drawn, row),
            "id": f"validation_{drawn.label}_{drawn.number + 1}",
            "category": drawn.label,
            "l2-category": DISCIPLINE[drawn.label],
            "split": "validation",
            "target": target,
        }
