"""Training in two processes (gloo, CPU) against one: same losses, same masks, same bits after a kill."""

import json
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tiny_models
import torch
from chat_server import Server, completion
from safetensors.torch import load_file
from several import launched
from trainer_runs import recipe, run

pytestmark = pytest.mark.slow
#: float32; two processes add up in another order than one.
CLOSE = 2e-5

needs_deepspeed = pytest.mark.skipif(not find_spec("deepspeed"), reason="needs masters-harness[deepspeed]")
ENGINES = ["ddp", pytest.param("zero2", marks=needs_deepspeed), pytest.param("zero3", marks=needs_deepspeed)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        tiny_models.checkpoint("internvl", folder, seed)
    return folder


@pytest.fixture(scope="module")
def alone(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    run(recipe(models, "masters"), folder)
    return folder


def train(models: Path, folder: Path, engine: str, **asked):
    settings = {"train.engine": engine, **asked.pop("settings", {})}
    return launched(2, models=models, folder=folder, method=asked.pop("method", "masters"), settings=settings, **asked)


def log(folder: Path, method: str = "masters"):
    return [json.loads(line) for line in (folder / method / "seed0" / "train.jsonl").read_text().splitlines()]


def records(folder: Path, method: str = "masters"):
    return [json.loads(path.read_text()) for path in sorted((folder / "checkpoints" / method / "seed0").glob("*.json"))]


def weights(folder: Path, stage: int, method: str = "masters") -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / method / "seed0" / f"stage{stage}" / "model.safetensors")


def rewards(folder: Path) -> list[dict]:
    parts = [pq.read_table(folder / "masters" / "seed0" / f"stage{k}" / "rewards").to_pylist() for k in (0, 1)]
    return [row for part in parts for row in part]


@pytest.mark.parametrize("engine", ENGINES)
def test_two_processes_train_as_one_and_go_on_bit_by_bit_after_a_kill(models, alone, tmp_path, engine: str):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = train(models, whole, engine)
    assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs = log(whole), log(alone)
    assert len(ours) == 4
    for name in ("loss", "gradient", "tokens", "loss/policy", "loss/kl", "loss/divergence"):
        assert [line[name] for line in ours] == pytest.approx([line[name] for line in theirs], rel=CLOSE, abs=1e-6)
    assert records(whole) == records(alone)
    assert [(r["question"], r["text"]) for r in rewards(whole)] == [(r["question"], r["text"]) for r in rewards(alone)]
    expected = weights(alone, 1)
    assert weights(whole, 1).keys() == expected.keys()
    for name, value in weights(whole, 1).items():
        assert torch.allclose(value, expected[name], atol=CLOSE), name

    assert train(models, broken, engine, die_at=3).returncode != 0
    again = train(models, broken, engine)
    assert again.returncode == 0, again.stderr[-3000:]
    assert all(torch.equal(value, weights(whole, 1)[name]) for name, value in weights(broken, 1).items())
    assert [line["loss"] for line in log(broken)] == [line["loss"] for line in ours]
    assert rewards(broken) == rewards(whole)
    assert records(broken) == records(whole)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cached_teacher_and_bf16_train_in_two_processes(models, tmp_path, engine: str):
    settings = {"train.teacher": "cached", "train.precision": "bf16"}
    asked = {"models": models, "folder": tmp_path / "one", "method": "mask-only-multi", "settings": settings}
    assert launched(1, **asked).returncode == 0
    done = train(models, tmp_path / "two", engine, method="mask-only-multi", settings=settings)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (log(tmp_path / name, "mask-only-multi") for name in ("one", "two"))
    assert [line["loss"] for line in two] == pytest.approx([line["loss"] for line in one], rel=0.05)
    assert {value.dtype for value in weights(tmp_path / "two", 1, "mask-only-multi").values()} == {torch.float32}


def test_a_judge_that_costs_is_asked_once_for_all_processes(models, tmp_path, monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    server = Server()
    server.answer = lambda body, _: (200, completion(body, message={"role": "assistant", "content": "1"}), {})
    settings = {
        "reward.judge.name": f"openai:tiny?base_url={server.url}", "reward.judge.grade": "judge", "optimizer.epochs": 2,
    }  # fmt: skip
    done = train(models, tmp_path / "two", "ddp", settings=settings)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(log(tmp_path / "two")) == 8
    times = Counter(json.dumps(body) for body in server.bodies)
    assert times
    assert set(times.values()) == {1}


@needs_deepspeed
def test_a_teacher_in_pieces_is_masked_as_a_whole_one(models: Path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               str(Path(__file__).with_name("several_masks.py")), str(models)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    found = json.loads(line.removeprefix("FOUND "))
    assert len(found) == 10
    for kind, one in found.items():
        assert one == {"shapes": True, "different": [], "report": True, "fingerprint": True}, kind
