"""The judges `hf` and `vllm`: a checkpoint on this machine, through the backend of that name."""

from __future__ import annotations

from harness import registry
from harness.api import Model
from harness.judge.model_judge import ModelJudge
from harness.judge.spec import Options, at_least, parse_spec

_SHARED: Options = {"dtype": str, "batch_tokens": at_least(1, int)}


def open_hf(spec: str = "") -> ModelJudge:
    """A checkpoint in this process: hf:FOLDER_OR_HUB_ID?device=cuda:1&dtype=bfloat16.

    Options: device, dtype, attention, batch_tokens.
    """
    return _judge("hf", spec, {"device": str, "attention": str, **_SHARED})


def open_vllm(spec: str = "") -> ModelJudge:
    """A checkpoint in a vLLM engine: vllm:FOLDER_OR_HUB_ID.

    Options: dtype, batch_tokens.
    """
    return _judge("vllm", spec, _SHARED)


def _judge(backend: str, spec: str, known: Options) -> ModelJudge:
    checkpoint, options = parse_spec(backend, spec, known)
    model: Model = registry.load("models", backend)(checkpoint, **options)
    return ModelJudge(model, f"{backend}:{checkpoint}")
