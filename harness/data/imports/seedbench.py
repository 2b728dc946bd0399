"""SEED-Bench answers (evaluate_result/SEED-Bench-1): a line an item with the predicted and the gold letter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.data.imports.record import Record, load_lines, need, said


def read(path: Path) -> Iterator[Record]:
    """Lines question_id, prediction, gt_answer; ids of videos begin with v and are no items of the task.

    The published GPT-4V file answers eight questions twice, three of them differently.
    """
    for where, entry in load_lines(path):
        name, prediction, gold = need(where, entry, "question_id", "prediction", "gt_answer")
        row = {
            "index": name,
            "question": f"(the file states no question: {name})",
            "category": "(the file states no dimension)",
            "answer": gold,
            **{letter: f"(option {letter})" for letter in "ABCD"},
        }
        video = str(name).startswith("v")
        yield Record(
            where, (str(name),), said(prediction), row, stand_in=True, target=gold, foreign=video, first_wins=True
        )
