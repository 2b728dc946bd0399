"""Suites and composites: shipped, user files, names that do not exist."""

import pytest

from harness import registry
from harness.api import HarnessError, Sample, Scored, State, Verdict
from harness.scoring.aggregate import micro
from harness.suites import load_suites

PAPER = [
    *("ai2d", "chartqa", "mathvista", "mmbench_en", "mmbench_cn", "mmvet", "mmmu", "mmmu_pro_standard"),
    *("mmmu_pro_vision", "mmstar", "blink", "seedbench", "seedbench2_plus", "realworldqa"),
]


def test_shipped_suites():
    suites = load_suites()
    paper = suites.resolve("paper")
    assert list(paper.tasks) == PAPER
    assert paper.limit is None
    assert set(paper.composites) == {"mmmu_pro"}
    full = suites.resolve("full")
    assert sorted(full.tasks) == sorted(registry.names("tasks"))
    assert full.tasks[: len(PAPER)] == tuple(PAPER)
    smoke = suites.resolve("smoke")
    assert smoke.tasks == full.tasks
    assert smoke.limit == 16


def test_names_of_tasks_and_composites_in_any_mix():
    suites = load_suites()
    assert suites.resolve(["mmstar", " mmmu_pro", "mmstar"]).tasks == ("mmstar", "mmmu_pro_standard", "mmmu_pro_vision")
    assert suites.resolve(["mmstar", "mmmu_pro_vision"]).composites == {}
    assert suites.resolve(["ccbench", "paper"]).tasks == ("ccbench", *PAPER)


@pytest.mark.parametrize(
    ("name", "near"), [("mmstr", "mmstar"), ("papers", "paper"), ("mmmu-pro", "mmmu_pro"), ("xyzzy", "harness tasks")]
)
def test_an_unknown_name_is_an_error_with_the_nearest(name, near):
    with pytest.raises(HarnessError, match=near):
        load_suites().resolve(name)


def test_a_file_of_the_user_adds_and_replaces(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "suites:\n  mine: {tasks: [blink, mmmu_pro], limit: 3}\n  smoke: {tasks: [mine, ai2d]}\n"
        "composites:\n  ai2d_both: {title: AI2D, mean: [ai2d, ai2d_no_mask]}\n"
    )
    suites = load_suites(path)
    assert suites.resolve("mine").tasks == ("blink", "mmmu_pro_standard", "mmmu_pro_vision")
    assert suites.resolve("mine").limit == 3
    assert suites.resolve("smoke").tasks == ("blink", "mmmu_pro_standard", "mmmu_pro_vision", "ai2d")
    assert suites.resolve("smoke").limit is None
    assert suites.resolve("ai2d_both").tasks == ("ai2d", "ai2d_no_mask")
    assert suites.resolve("paper").tasks == tuple(PAPER)
    with pytest.raises(HarnessError, match="different limits"):
        suites.resolve(["mine", "paper"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("suites: [full]", "suites"),
        ("suites: {a: {tasks: []}}", "suites.a.tasks"),
        ("suites: {a: {tasks: [ai2d], limit: 0}}", "suites.a.limit"),
        ("suites: {a: {task: [ai2d]}}", "suites.a"),
        ("suite: {}", "suite"),
        ("suites: {a: {tasks: [ai2d]", "not YAML"),
        ("suites: {ai2d: {tasks: [mmstar]}}", "'ai2d' stands for two things"),
        ("composites: {full: {title: x, mean: [ai2d]}}", "'full' stands for two things"),
        ("just text", "the file"),
    ],
)
def test_a_bad_file_is_an_error_that_names_it(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(HarnessError) as caught:
        load_suites(path)
    assert message in str(caught.value)
    assert caught.value.remedy


def test_errors_of_files_and_circles(tmp_path):
    with pytest.raises(HarnessError, match=r"absent\.yaml"):
        load_suites(tmp_path / "absent.yaml")
    path = tmp_path / "circle.yaml"
    path.write_text("suites: {a: {tasks: [b]}, b: {tasks: [a]}, c: {tasks: [mmstarr]}}")
    with pytest.raises(HarnessError, match="a > b > a"):
        load_suites(path).resolve("a")
    with pytest.raises(HarnessError, match="did you mean mmstar"):
        load_suites(path).resolve("c")


def test_a_composite_is_the_mean_of_its_parts():
    def metrics(scores, cluster):
        items = [
            Scored(Sample(str(i), "q", "A", cluster=cluster.format(i)), Verdict(State.SCORED, score))
            for i, score in enumerate(scores)
        ]
        return micro()(items)

    pro = load_suites().composites["mmmu_pro"]
    shared = {"mmmu_pro_standard": metrics([1, 1, 0, 0], "{}"), "mmmu_pro_vision": metrics([1, 1, 0, 0, 0], "{}")}
    both = pro.combine(shared)
    assert both.score == pytest.approx((50 + 40) / 2)
    assert both.n == 9
    assert sum(unit.weight for unit in both.units) == pytest.approx(1)
    apart = pro.combine({**shared, "mmmu_pro_vision": metrics([1, 1, 0, 0, 0], "other {}")})
    assert apart.score == both.score
    assert apart.stderr < both.stderr  # the same questions right in both settings are not independent
