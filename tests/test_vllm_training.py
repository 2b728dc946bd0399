"""Weights handed from training to vLLM: Gen-Data of every stage by the real engine, on the stage's own checkpoint.

Run it in the environment that has vllm (docs/scale.md); elsewhere it is skipped.
"""

import json
import os
from pathlib import Path

import pytest
from trainer_runs import context, recipe

pytest.importorskip("vllm", reason="needs the package vllm: pip install 'masters-harness[vllm]'")
pytestmark = pytest.mark.slow

from harness import registry  # noqa: E402
from trainers import responses  # noqa: E402


def test_each_stages_responses_come_from_its_student_and_its_masked_teacher(tmp_path: Path, monkeypatch) -> None:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    options = {"gpu_memory_utilization": 0.15, "enforce_eager": True, "max_num_seqs": 8, "max_model_len": 1024}
    asked = recipe(tmp_path, "masters", **{
        "responses.backend": "vllm", "responses.backend_options": options, "data.questions": 6,
        "optimizer.questions_per_step": 3,
    })  # fmt: skip
    served: list[str] = []
    real = responses.answering

    def noted(answerer, settings):
        served.append(answerer.checkpoint().parent.name)
        return real(answerer, settings)

    monkeypatch.setattr(responses, "answering", noted)
    given = context(asked, tmp_path / "run")
    stages = list(registry.load("trainers", "masters").run(asked, given))
    # teacher and student of the first stage, then of the second, whose student is the first stage's checkpoint
    assert [name for name in served if name != "served"][-1] == "seed0"
    assert len(served) == 4
    assert len(stages) == 2
    assert not any((tmp_path / "run" / "served").iterdir())
    log = (tmp_path / "run" / "masters" / "seed0" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["responses"] for line in log] == [12, 12]
    preflight = json.loads((tmp_path / "run" / "masters" / "seed0" / "preflight.json").read_text())
    assert preflight["log-probabilities"]["ok"]
