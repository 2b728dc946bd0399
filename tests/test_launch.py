"""`harness launch`: what it prints, and what it runs (two processes on this machine)."""

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from trainer_runs import recipe

from harness.cli import main


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launch")
    asked = recipe(folder, "mask-only", **{"evaluation.limit": 4, "evaluation.suite": "smoke"})
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(asked.model_dump(mode="json")))
    return path


def launched(*arguments: str):
    return CliRunner().invoke(main, ["launch", *arguments])


def test_one_node_and_many(written: Path):
    one = shlex.split(launched(str(written), "--gpus", "8").output)
    assert one[1:6] == ["-m", "torch.distributed.run", "--nproc-per-node", "8", "--standalone"]
    assert one[6:] == ["-m", "harness", "run", "--recipe", str(written)]
    many = shlex.split(
        launched(str(written), "--nodes", "4", "--gpus", "8", "--rendezvous", "node0:29500", "--restarts", "2",
                 "--out", "runs/a b", "--", "--limit", "5").output
    )  # fmt: skip
    assert many[many.index("--nnodes") + 1] == "4"
    assert many[many.index("--rdzv-endpoint") + 1] == "node0:29500"
    assert many[many.index("--max-restarts") + 1] == "2"
    assert many[-4:] == ["--out", "runs/a b", "--limit", "5"]


def test_one_process_needs_no_launcher_and_a_ready_recipe_knows_its_gpus(written: Path):
    assert shlex.split(launched(str(written)).output) == ["python", "-m", "harness", "run", "--recipe", str(written)]
    ready = shlex.split(launched("internvl3_5-8b", "--nodes", "2", "--rendezvous", "a:1").output)
    assert ready[ready.index("--nproc-per-node") + 1] == "4"


def test_what_cannot_work_is_told_before_anything_starts(written: Path, tmp_path: Path):
    assert "must know where to meet" in launched(str(written), "--nodes", "2").output
    single = tmp_path / "single.yaml"
    values = yaml.safe_load(written.read_text())
    values["train"]["engine"] = "single"
    single.write_text(yaml.safe_dump(values))
    assert "train.engine: single" in launched(str(single), "--gpus", "2").output


@pytest.mark.slow
def test_two_processes_run_a_recipe_into_one_folder(written: Path, tmp_path: Path):
    command = [sys.executable, "-m", "harness", "launch", str(written), "--gpus", "2", "--run", "--out",
               str(tmp_path / "run"), "--", "--tasks", "chartqa"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    steps = (tmp_path / "run" / "mask-only" / "seed0" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in steps] == [0, 1, 2, 3]
    with (tmp_path / "run" / "leaderboard.csv").open() as table:
        assert len(list(csv.DictReader(table))) == 4  # student, teacher, two stages
    assert done.stdout.count("run/leaderboard.csv") == 1  # one process writes it
    assert (tmp_path / "run" / "manifest.json").is_file()
