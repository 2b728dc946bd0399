"""Mini MMMU-Pro: ten options; as text with images, or the whole question as one picture of symbols."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import LETTERS, SIZE, Row, choice_row, draws, lettered, reasoned
from tasks.mini.mmmu import PLAN as MMMU
from tasks.mini.mmmu import placed
from tasks.mini.scenes import charts, pairs, puzzles
from tasks.mini.scenes.posters import OPTIONS, poster_at
from tasks.mini.scenes.words import say

SUBJECTS = tuple(subject for subject, _ in MMMU)
#: Skills with at least ten answers.
TEN = (
    charts.bar_sum,
    puzzles.object_at,
    puzzles.count_ten,
    puzzles.bar_ends,
    puzzles.clock,
    pairs.new_object,
    puzzles.bar_list,
)
POSTERS = tuple(poster_at(place) for place in range(OPTIONS))


def standard_rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` questions in the columns of MMMU_Pro_10c.tsv: every subject goes through the skills in its own order."""
    plan = tuple((subject, TEN[at % len(TEN) :] + TEN[: at % len(TEN)]) for at, subject in enumerate(SUBJECTS))
    for drawn in draws("mmmu_pro_standard", plan, split, SIZE if size is None else size, seed):
        row = placed(drawn, choice_row(drawn, OPTIONS))
        named = {"id": f"test_{drawn.label}_{drawn.number + 1}", "category": drawn.label}
        yield {**row, **named, "target": reasoned(drawn.item, str(row["answer"]))}


def vision_rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` pictures in the columns of MMMU_Pro_V.tsv (no question); right letters take turns within a subject."""
    plan = tuple((subject, POSTERS[at % OPTIONS :] + POSTERS[: at % OPTIONS]) for at, subject in enumerate(SUBJECTS))
    for drawn in draws("mmmu_pro_vision", plan, split, SIZE if size is None else size, seed):
        place = (drawn.number % len(SUBJECTS) + drawn.number // len(SUBJECTS)) % OPTIONS
        shown = [*drawn.item.others[:place], drawn.item.answer, *drawn.item.others[place:]]
        yield {
            **drawn.columns(),
            **lettered([say(word) for word in shown], OPTIONS),
            "answer": LETTERS[place],
            "id": f"test_{drawn.label}_{drawn.number + 1}",
            "category": drawn.label,
            "target": f"{reasoned(drawn.item, LETTERS[place])}.\nAnswer: {LETTERS[place]}",
        }
