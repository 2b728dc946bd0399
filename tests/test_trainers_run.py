"""A recipe from end to end in a run folder, and the verbs that trainers add."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console
from trainer_runs import recipe

from harness import registry
from harness.api import HarnessError, Unit
from harness.cli import main
from harness.evaluation import Evaluator
from harness.reference import read_measured, write_reference
from harness.store import Store
from trainers.commands.mask_study import Scores, study
from trainers.run import plan_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def written(folder: Path) -> Path:
    asked = recipe(folder, "naive-kd", **{"evaluation.limit": 6, "evaluation.stage_limit": 3})
    values = asked.model_dump(mode="json")
    values["methods"] = [{"name": "naive-kd", "set": {}}, {"name": "masters", "set": {"optimizer.lr": 0.002}}]
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def evaluate(written: Path, out: Path):
    run_recipe = registry.load("recipes", "run")
    with Store(out) as store:
        return run_recipe(written, Evaluator(store), Console(quiet=True), tasks=["chartqa"])


@pytest.fixture(scope="module")
def results(written: Path, folder: Path):
    return evaluate(written, folder / "out")


def test_base_teachers_and_every_stage_are_in_one_table(results, folder: Path):
    labels = [result.cell.model for result in results]
    student, teacher = (str(folder / f"internvl-{i}") for i in (0, 1))
    assert labels == [
        student, teacher, "naive-kd/s0/1-internvl-1-r0.00", "naive-kd/s0/2-internvl-1-r0.00",
        "masters/s0/1-internvl-1-r0.20", "masters/s0/2-internvl-1-r0.00",
    ]  # fmt: skip
    assert [result.items for result in results] == [6, 6, 3, 6, 3, 6]
    stage = results[-1].stage
    assert (stage["method"], stage["seed"], stage["index"], stage["r"], stage["last"]) == ("masters", 0, 1, 0.0, True)
    assert stage["budget"]["steps"] == results[3].stage["budget"]["steps"] == 4
    assert (Path(stage["checkpoint"]) / "model.safetensors").is_file()


def test_a_reference_has_the_last_stages_and_no_folder_of_this_machine(results, folder: Path, tmp_path: Path):
    write_reference(folder / "out", tmp_path)
    kept = [measured.result for measured in read_measured(tmp_path)]
    assert [r.fingerprint for r in kept] == [r.fingerprint for r in results if r.stage.get("last", True)]
    assert all("checkpoint" not in r.stage for r in kept)
    assert str(folder / "out") not in (tmp_path / "reference.json").read_text()


def test_a_second_run_infers_and_trains_nothing(results, written: Path, folder: Path):
    again = evaluate(written, folder / "out")
    assert [(r.cell, r.metrics.score, r.items) for r in again] == [(r.cell, r.metrics.score, r.items) for r in results]
    log = (folder / "out" / "masters" / "seed0" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["lr"] for line in log] == [0.002] * 4


def test_the_command_line_wins_over_the_recipes_evaluation(written: Path):
    assert plan_run(written, tasks=["mmstar"], limit=2).tasks == ("mmstar",)
    assert plan_run(written, limit=2).limit == 2
    assert plan_run(written).limit == 6


def test_a_method_that_does_not_exist_is_told_before_anything_is_trained(written: Path, tmp_path: Path):
    values = yaml.safe_load(written.read_text())
    values["methods"] = ["masters", "mastrs"]
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(HarnessError, match="no trainer is called 'mastrs'"):
        evaluate(path, tmp_path / "out")
    assert not (tmp_path / "out" / "masters").exists()


def test_recipe_verbs(written: Path):
    shown = CliRunner().invoke(main, ["recipe", "check", str(written)])
    assert shown.exit_code == 0, shown.output
    assert "masters (Masters), 2 stages, r = 0.2 0" in shown.output
    listed = CliRunner().invoke(main, ["recipe", "list"])
    assert "embedded" in listed.output
    schema = CliRunner().invoke(main, ["recipe", "schema"])
    assert "teachers" in json.loads(schema.output)["properties"]
    absent = CliRunner().invoke(main, ["recipe", "check", "embeded"])
    assert absent.exit_code == 1
    assert "did you mean embedded?" in absent.output


def test_the_mask_study_evaluates_every_ratio(written: Path, folder: Path, tmp_path: Path):
    asked = ["mask-study", str(folder / "internvl-1"), "--tasks", "chartqa", "--limit", "4", "--largest", "0.5",
             "--step", "0.25", "--out", str(tmp_path / "study")]  # fmt: skip
    shown = CliRunner().invoke(main, asked)
    assert shown.exit_code == 0, shown.output
    assert "proposed r_max: " in shown.output
    with Store(tmp_path / "study", write=False) as store:
        assert [result.stage["r"] for result in store.results()] == [0.0, 0.25, 0.5]


def _scores(wrong: int, items: int = 400) -> list[Scores]:
    units = [Unit(str(i), str(i), float(i >= wrong), 1 / items) for i in range(items)]
    return [Scores(100 * (1 - wrong / items), units)]


def test_the_largest_mask_without_a_loss_is_proposed():
    found = {0.0: _scores(0), 0.1: _scores(2), 0.2: _scores(4), 0.3: _scores(80), 0.4: _scores(2)}
    table, proposed = study(found, tolerance=1.0)
    assert proposed == 0.2
    assert "-20.00" in table
    assert study({0.0: _scores(5), 0.1: _scores(5)}, 0.0)[1] == 0.1
