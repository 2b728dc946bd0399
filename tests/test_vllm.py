"""Backend vllm on the real engine; run it in the environment that has vllm (docs/scale.md), elsewhere it is skipped."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from test_hf_model import make_requests

from harness.api import Generation, HarnessError, Image, Request, Response
from harness.models.hf import open_model as open_hf

pytest.importorskip("vllm")
pytestmark = pytest.mark.slow

from harness.models.seen import Seen  # noqa: E402
from harness.models.vllm import VLLMModel, open_model  # noqa: E402

#: The embedded ladder is InternVL's architecture; one engine a family.
FAMILIES = os.environ.get("TINY_FAMILY", "internvl,qwen2_5_vl,smolvlm").split(",")
#: What a small machine needs.
SMALL: dict[str, Any] = {"enforce_eager": True, "max_num_seqs": 8, "gpu_memory_utilization": 0.15}


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.checkpoint(request.param, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Iterator[VLLMModel]:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    model = open_model(str(checkpoint), max_model_len=512, max_images=2, window=6, **SMALL)
    yield model
    model.close()


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
    assert engine._engine.get_num_unfinished_requests() == 0
    assert len(answers(engine, make_requests(3))) == 3


def test_given_tokens_are_scored_as_transformers_does(engine: VLLMModel, checkpoint: Path) -> None:
    """Behaviour log-probs and a teacher's signal: prompt log-probs of the response's tokens."""
    pairs = [(request, (40, 300, 77, 120)) for request in make_requests(4)]
    ours = dict(open_hf(str(checkpoint)).score(pairs, top=5))
    theirs = dict(engine.score(pairs, top=5))
    assert len(theirs) == len(pairs)
    for index, found in theirs.items():
        assert found.logprobs == pytest.approx(ours[index].logprobs, abs=1e-3)
        for place, expected in zip(found.top, ours[index].top, strict=True):
            assert [value for _, value in place] == pytest.approx([value for _, value in expected], abs=1e-3)
            assert place[0][0] == expected[0][0]


def test_what_is_seen_is_what_transformers_shows(engine: VLLMModel, checkpoint: Path) -> None:
    requests = make_requests(6)
    sides = []
    for model in (open_hf(str(checkpoint)), engine):
        seen: dict[int, Seen] = {}
        model.watch = seen.__setitem__
        answers(model, requests)
        model.watch = None
        sides.append(seen)
    for index in range(6):
        ours, theirs = sides[0][index], sides[1][index]
        assert theirs.ids == ours.ids
        assert theirs.grid == ours.grid
        assert (theirs.pixels is None) == (ours.pixels is None)
        if ours.pixels is not None and theirs.pixels is not None:
            assert theirs.pixels.near(ours.pixels, 1e-4)
        assert {**theirs.settings, "max_new_tokens": 0} == {**ours.settings, "max_new_tokens": 0}


def test_the_engine_starts_for_what_waits(tmp_path: Path) -> None:
    """Context length and images a prompt come from the tasks; no engine starts where nothing is missing."""
    checkpoint = str(tiny_models.checkpoint("internvl", tmp_path))
    short = make_requests(2, max_new_tokens=8)
    model = open_model(checkpoint, **SMALL)
    model.expect(short)
    assert model._engine is None
    assert len(answers(model, short)) == 2
    length = model._engine.model_config.max_model_len
    assert length == 256
    model.expect([*short, *make_requests(1, max_new_tokens=700)])
    assert len(answers(model, make_requests(1, max_new_tokens=700))) == 1
    assert model._engine.model_config.max_model_len == 768
    model.close()


def test_options_that_are_none(tmp_path: Path) -> None:
    checkpoint = str(tiny_models.checkpoint("internvl", tmp_path))
    with pytest.raises(HarnessError, match="no option 'max_len'"):
        open_model(checkpoint, max_len=3)
    with pytest.raises(HarnessError, match="LoRA"):
        open_model(checkpoint, enable_lora=True)


def test_how_fast_is_no_part_of_the_identity_but_how_long_is(tmp_path: Path) -> None:
    checkpoint = str(tiny_models.checkpoint("internvl", tmp_path))
    plain = open_model(checkpoint).fingerprint()
    assert open_model(checkpoint, tensor_parallel_size=2, data_parallel_size=2).fingerprint() == plain
    assert open_model(checkpoint, max_model_len=64).fingerprint() != plain
