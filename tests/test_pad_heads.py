"""Checkpoints whose heads are widened for an engine: transformers computes the same with both."""

from pathlib import Path

import pytest
import tiny_models
from test_hf_model import make_requests

from harness.models.hf import open_model
from harness.models.load import resolve
from harness.models.pad_heads import CPU_WIDTHS, padded


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path))


def test_wider_heads_answer_alike() -> None:
    narrow = resolve("embedded/mid")  # heads of 16
    wide = padded(narrow, CPU_WIDTHS)
    assert wide != narrow
    assert padded(narrow, CPU_WIDTHS) == wide
    requests = make_requests(6, logprobs=True, max_new_tokens=12)
    model = open_model(str(wide))
    assert model.module.config.get_text_config().head_dim == 32
    found = dict(model.generate(requests))
    for index, response in open_model(str(narrow)).generate(requests):
        assert found[index].token_ids == response.token_ids
        assert found[index].logprobs == pytest.approx(response.logprobs, abs=1e-4)


def test_what_needs_no_padding_or_is_unknown_is_left_alone(tmp_path: Path) -> None:
    assert padded(resolve("embedded/mid"), (16, 24)) == resolve("embedded/mid")
    other = tiny_models.checkpoint("qwen2_5_vl", tmp_path)
    assert padded(other, (1024,)) == other
