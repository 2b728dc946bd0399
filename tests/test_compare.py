"""`harness compare`: sides, refusals, seeds, and what is printed."""

import numpy as np
import pytest
from click.testing import CliRunner
from test_evaluate import HashModel

from harness.api import HarnessError
from harness.cli import main
from harness.compare import compare_sides, methods_of, read_sides
from harness.evaluation import Evaluator
from harness.report.overview import overview
from harness.store import Store


class Biased(HashModel):
    """Answers right-looking letters more often, so that two of them differ."""

    def __init__(self, name, fingerprint, letters):
        super().__init__(name, fingerprint)
        self.letters = letters

    def generate(self, requests):
        for index, response in super().generate(requests):
            yield index, type(response)(self.letters[ord(response.text[0]) % len(self.letters)], token_ids=(1,))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with Store(folder) as store:
        evaluator = Evaluator(store, limit=60)
        tasks = ["seedbench", "ai2d"]
        evaluator.evaluate(Biased("base", "0", "A"), tasks)
        for method, letters in (("naive-kd", "AB"), ("masters", "ABCD")):
            for seed in (0, 1, 2):
                for index in (0, 1):
                    name = f"{method}/s{seed}/{index}"
                    stage = {"method": method, "seed": seed, "index": index, "budget": {"steps": 10 * (index + 1)}}
                    model = Biased(name, name, letters + "ABCD"[seed] * index)
                    evaluator.evaluate(model, tasks, label=name, stage=stage)
        evaluator.evaluate(
            Biased("cheap/s0/0", "c", "ABC"),
            tasks,
            stage={"method": "cheap", "seed": 0, "index": 0, "budget": {"steps": 1}},
        )
    return folder


def test_methods_are_their_last_stages_over_seeds(run):
    sides = read_sides([run])
    assert methods_of(sides) == ["naive-kd", "masters", "cheap"]
    assert len(sides["masters"]["ai2d"]) == 3
    assert {m.result.stage["index"] for m in sides["masters"]["ai2d"]} == {1}


def test_seeds_count_and_holm_is_never_below_p(run):
    found = compare_sides(read_sides([run]), "masters", "naive-kd", base="base", teacher="cheap", resamples=500)
    for row in found.rows:
        assert row.seeds is not None
        assert row.p_holm >= row.seeds.p
        assert row.difference.points == pytest.approx(row.score_a - row.score_b)
        assert row.recovered is not None


def test_the_tasks_bootstraps_are_independent(run):
    sides = read_sides([run])
    side = {name: {"one": of["ai2d"], "two": of["ai2d"]} for name, of in sides.items()}  # the same units twice
    one, two = compare_sides(side, "masters/s0/0", "base", resamples=4000).rows
    assert abs(np.corrcoef(one.difference.resampled, two.difference.resampled)[0, 1]) < 0.1


def test_exchanging_the_sides_turns_the_interval_round(run):
    sides = read_sides([run])
    there, back = (
        compare_sides(sides, *pair, resamples=200).rows[0].seeds for pair in (("masters", "base"), ("base", "masters"))
    )
    assert (there.points, there.low, there.high) == pytest.approx((-back.points, -back.high, -back.low))


def test_other_budgets_are_refused_unless_allowed(run):
    sides = read_sides([run])
    with pytest.raises(HarnessError, match="budget differ"):
        compare_sides(sides, "masters", "cheap")
    (told,) = compare_sides(sides, "masters", "cheap", allow=["budget"], resamples=200).warnings  # not one a task
    assert told.startswith("budget differ")


def test_other_items_are_refused(run, tmp_path):
    with Store(tmp_path) as store:
        Evaluator(store, limit=30).evaluate(HashModel("few", "f"), ["ai2d"])
    with pytest.raises(HarnessError, match="same items"):
        compare_sides(read_sides([run, tmp_path]), "base", "few")


def test_an_unknown_side_lists_the_known_ones(run):
    with pytest.raises(HarnessError, match="naive-kd"):
        compare_sides(read_sides([run]), "master", "base")


@pytest.mark.parametrize("form", ["table", "md", "csv"])
def test_the_verb_prints_every_form(run, form):
    words = ["compare", str(run), "--a", "masters", "--b", "naive-kd", "--format", form, "--resamples", "200"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "masters" in result.output
    assert "ai2d" in result.output


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_default_view_shows_all_methods_and_stages_within_the_terminal(run, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    result = CliRunner().invoke(main, ["compare", str(run), "--resamples", "200"])
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= width
    text = " ".join(result.output.split())
    for word in ("average of 2", "minus student", "masters minus it", "after each stage"):
        assert word in text
    assert "…" not in result.output


def test_the_default_view_says_what_the_sides_say(run):
    sides = read_sides([run])
    seen = overview(run, sides, resamples=500)
    assert (seen.main, seen.student, seen.counted) == ("masters", "base", 2)
    line = next(line for line in seen.lines if line.method == "cheap")
    assert line.other_budget
    assert seen.averages["masters"] - seen.averages["base"] == pytest.approx(
        compare_sides(sides, "masters", "base", resamples=200).overall.points
    )
    assert len(seen.stages["masters"]) == 2
    assert seen.stages["cheap"][1] is None  # it has one stage only


def test_a_composite_counts_once_in_the_average(run):
    sides = read_sides([run])
    both = {
        name: {"mmmu_pro_standard": of["ai2d"], "mmmu_pro_vision": of["ai2d"], "seedbench": of["seedbench"]}
        for name, of in sides.items()
    }
    found = compare_sides(both, "masters", "base", resamples=200)
    points = {row.task: row.difference.points for row in found.rows}
    expected = (points["mmmu_pro_standard"] / 2 + points["mmmu_pro_vision"] / 2 + points["seedbench"]) / 2
    assert (found.counted, found.overall.points) == (2, pytest.approx(expected))
    assert found.averages[0] - found.averages[1] == pytest.approx(expected)


def test_protocols_are_sides_of_their_own_and_no_seeds(run, tmp_path):
    with Store(tmp_path) as store:
        for name in ("one", "two"):
            for protocol in ("official", "lmms-eval@0.7.2"):
                Evaluator(store, limit=30, protocol=protocol).evaluate(HashModel(name, name), ["ai2d"])
    sides = read_sides([tmp_path])
    assert list(sides) == ["one", "one [lmms-eval@0.7.2, rule]", "two", "two [lmms-eval@0.7.2, rule]"]
    found = compare_sides(sides, "one", "two", resamples=200)
    assert found.rows[0].seeds is None
    with pytest.raises(HarnessError, match="protocol differ"):
        compare_sides(sides, "one", "two [lmms-eval@0.7.2, rule]", resamples=200)
