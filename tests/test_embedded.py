"""The shipped ladder through the real command: every task answered and scored, killed and resumed, real items."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest

from harness import load_run, registry

if "student" not in registry.names("checkpoints"):
    pytest.skip("the embedded ladder is not installed", allow_module_level=True)


def harness(*words, **options):
    command = [sys.executable, "-m", "harness", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, COLUMNS="160"), **options)


def table(folder):
    run = load_run(folder)
    return run.items[["model", "task", "id", "response", "state", "score"]].to_csv() + run.units.to_csv()


def test_smoke_suite_scores_every_task_without_an_error(tmp_path):
    done = harness("run", "--suite", "smoke", "--model", "embedded/student", "--out", tmp_path, check=True)
    run = load_run(tmp_path)
    assert {r.cell.task for r in run.results} == set(registry.names("tasks"))
    assert not (run.items.state == "error").any()
    assert run.manifest is not None
    assert "mini" in done.stdout
    (row,) = csv.DictReader((tmp_path / "leaderboard.csv").open())
    assert row["model"] == "embedded/student"
    assert float(row["average"]) > 0


@pytest.mark.slow
def test_killed_with_a_real_model_a_rerun_ends_with_the_same_table(tmp_path):
    words = ["run", "--tasks", "chartqa,seedbench,mmmu", "--limit", "60", "--model", "embedded/student", "--out"]
    harness(*words, tmp_path / "whole", check=True)
    for delay in (6, 7, 8):
        command = [sys.executable, "-m", "harness", *words, str(tmp_path / "killed")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    harness(*words, tmp_path / "killed", check=True)
    assert table(tmp_path / "killed") == table(tmp_path / "whole")


def test_real_files_are_counted_as_they_are(shared, tmp_path):
    tasks = "chartqa,mmbench_en,mmbench_cn,ccbench"
    data = shared("real/LMUData")
    harness("run", "--data", data, "--tasks", tasks, "--model", "embedded/student", "--out", tmp_path, check=True)
    run = load_run(tmp_path)
    assert {r.cell.task: r.items for r in run.results} == {
        "chartqa": 102, "mmbench_en": 20, "mmbench_cn": 20, "ccbench": 14,
    }  # fmt: skip
    assert not (run.items.state == "error").any()


def test_real_parquet_folder(shared, tmp_path):
    words = ["--tasks", "mmmu_pro_standard", "--model", "embedded/student"]
    harness("run", "--data", shared("real/hf"), *words, "--out", tmp_path, check=True)
    assert [r.items for r in load_run(tmp_path).results] == [21]
