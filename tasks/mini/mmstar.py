"""Mini MMStar: six categories of three abilities each."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.mini.build import SIZE, Row, choice_row, draws
from tasks.mini.scenes import charts, diagrams, objects, puzzles
from tasks.mini.scenes.words import say

#: (category, ability, bench) -> skills.
ABILITIES = {
    ("coarse perception", "image emotion", "MMBench"): (objects.odd_one,),
    ("coarse perception", "image scene and topic", "SEEDBench_IMG"): (objects.count_all, charts.pie_extreme),
    ("coarse perception", "image style & quality", "MMBench"): (objects.depth,),
    ("fine-grained perception", "localization", "SEEDBench_IMG"): (objects.place,),
    ("fine-grained perception", "object counting", "SEEDBench_IMG"): (objects.count_shape, objects.count_color),
    ("fine-grained perception", "recognition", "SEEDBench_IMG"): (objects.shape_of, objects.color_of),
    ("instance reasoning", "cross-instance attribute reasoning", "MMBench"): (objects.size_extreme,),
    ("instance reasoning", "cross-instance relation reasoning", "SEEDBench_IMG"): (objects.relation, objects.beside),
    ("instance reasoning", "single-instance reasoning", "MMBench"): (puzzles.object_at,),
    ("logical reasoning", "code & sequence reasoning", "MMBench"): (puzzles.matrix,),
    ("logical reasoning", "common reasoning", "MMBench"): (objects.beside,),
    ("logical reasoning", "diagram reasoning", "AI2D_TEST"): (diagrams.arrow_next, diagrams.arrow_two),
    ("math", "geometry", "MathVista"): (puzzles.clock,),
    ("math", "numeric commonsense and calculation", "MathVista"): (puzzles.subtract, puzzles.add),
    ("math", "statistical reasoning", "MathVista"): (charts.bar_difference, charts.bar_value),
    ("science & technology", "biology & chemistry & physics", "ScienceQA_TEST"): (diagrams.layer, diagrams.part_label),
    ("science & technology", "electronics & energy & mechanical eng.", "MMMU"): (diagrams.arrow_end,),
    ("science & technology", "geography & earth science & agriculture", "MMMU"): (diagrams.map_side,),
}


def rows(split: str, size: int | None = None, seed: int = 0) -> Iterator[Row]:
    """`size` questions in the columns of MMStar.tsv; the target opens with the letter (all that is read)."""
    names = {ability[1]: ability for ability in ABILITIES}
    plan = tuple((ability[1], skills) for ability, skills in ABILITIES.items())
    for drawn in draws("mmstar", plan, split, SIZE if size is None else size, seed):
        row = choice_row(drawn)
        category, ability, bench = names[drawn.label]
        facets = {"category": category, "l2_category": ability, "bench": bench}
        yield {**row, **facets, "target": f"{row['answer']}: {say(drawn.item.answer)}"}
