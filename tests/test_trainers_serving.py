"""Which processes of a training open an engine for Gen-Data, and what is said where it does not fit."""

from types import SimpleNamespace

import pytest
import torch

from harness.api import HarnessError
from trainers.recipe import Responses
from trainers.serving import Answerer, answering, place_among


def places(device: str, settings: Responses, processes: int) -> list[tuple[int, int] | None]:
    of = (
        SimpleNamespace(num_processes=processes, process_index=k, device=torch.device(device)) for k in range(processes)
    )
    return [place_among(one, settings) for one in of]


def test_one_engine_a_device_and_one_where_processes_share_a_machines_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert places("cuda", Responses(backend="vllm"), 4) == [(0, 4), (1, 4), (2, 4), (3, 4)]
    wide = Responses(backend="vllm", backend_options={"tensor_parallel_size": 2})
    assert places("cuda", wide, 4) == [(0, 2), None, (1, 2), None]
    assert places("cpu", Responses(backend="vllm"), 4) == [(0, 1), None, None, None]
    assert places("cpu", Responses(backend="vllm"), 8) == [(0, 2), None, None, None, (1, 2), None, None, None]
    assert places("cpu", Responses(), 4) == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_an_engine_that_does_not_fit_beside_the_training_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (32 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    answerer = Answerer(None, lambda: pytest.fail("opened"), lambda: pytest.fail("saved"))
    said = r"90% of its device's memory; beside the training 40% is free"
    with pytest.raises(HarnessError, match=said) as refused, answering(answerer, Responses(backend="vllm")):
        pytest.fail("an engine was opened")
    assert "gpu_memory_utilization to 0.38 or less" in refused.value.remedy
