"""Backend vllm on the real engine; run it in the environment that has vllm (docs/scale.md), elsewhere it is skipped."""

import os
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from test_hf_model import make_requests

from harness.api import Generation, HarnessError, Image, Request, Response
from harness.models.hf import open_model as open_hf

pytest.importorskip("vllm")
pytestmark = pytest.mark.slow

from harness.models.vllm import VLLMModel, open_model  # noqa: E402

FAMILY = os.environ.get("TINY_FAMILY", "internvl")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.checkpoint(FAMILY, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> VLLMModel:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    return open_model(str(checkpoint), max_model_len=512, max_images=2, enforce_eager=True, max_num_seqs=8, window=6)


def answers(model: Any, requests: list[Request]) -> dict[tuple[int, int], Response]:
    return {(index, response.sample_index): response for index, response in model.generate(requests)}


def test_same_tokens_as_transformers(engine: VLLMModel, checkpoint: Path) -> None:
    requests = make_requests(14, logprobs=True)
    ours = answers(open_hf(str(checkpoint)), requests)
    for key, response in answers(engine, requests).items():
        assert response.token_ids == ours[key].token_ids
        assert response.logprobs == pytest.approx(ours[key].logprobs, abs=1e-3)
        assert response.text == ours[key].text
        assert response.finish == ours[key].finish
        assert response.prompt_tokens == ours[key].prompt_tokens


def test_samples_are_seeded_and_differ(engine: VLLMModel) -> None:
    requests = make_requests(3, temperature=1.0, n=3, seed=1)
    first = answers(engine, requests)
    assert len(first) == 9
    assert len({first[1, k].token_ids for k in range(3)}) == 3
    assert answers(engine, requests[1:2])[0, 0].token_ids == first[1, 0].token_ids


def test_greedy_samples_repeat_and_stop_strings_cut(engine: VLLMModel) -> None:
    [request] = make_requests(1, n=2, max_new_tokens=16)
    found = answers(engine, [request])
    assert found[0, 0].token_ids == found[0, 1].token_ids
    whole = found[0, 0].text
    cut = answers(engine, [Request(request.parts, Generation(max_new_tokens=16, stop=(whole[4:6],)))])[0, 0]
    assert cut.finish == "stop"
    assert cut.text == whole[: whole.find(whole[4:6])]


def test_bad_requests_fail_alone(engine: VLLMModel) -> None:
    good = make_requests(2)
    bad = [Request(("word " * 3000,)), Request((Image.from_bytes(b"no image"), "?"))]
    found = answers(engine, [good[0], *bad, good[1]])
    assert [found[i, 0].finish == "error" for i in range(4)] == [False, True, True, False]
    assert "512" in found[1, 0].error
    assert "cannot identify" in found[2, 0].error


def test_a_run_that_is_given_up_leaves_the_engine_free(engine: VLLMModel) -> None:
    stream = engine.generate(make_requests(6))
    next(stream)
    stream.close()
    assert not engine.engine.has_unfinished_requests()


def test_unknown_option(checkpoint: Path) -> None:
    with pytest.raises(HarnessError, match="no option 'max_len'"):
        open_model(str(checkpoint), max_len=3)
