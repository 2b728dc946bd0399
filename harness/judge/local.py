"""The judges `hf` and `vllm`: a checkpoint on this machine, through the backend of that name.

Judges are asked with text only, so a language model serves as well as a vision-language one.
"""

from __future__ import annotations

from harness.judge.model_judge import ModelJudge
from harness.judge.spec import Options, at_least, parse_spec
from harness.models.options import load_model, open_model


def open_hf(spec: str = "") -> ModelJudge:
    """A checkpoint in this process: hf:FOLDER_OR_HUB_ID?device=cuda:1&dtype=bfloat16.

    Options: device, dtype, attention, batch_tokens.
    """
    return _judge(
        "hf", spec, {**dict.fromkeys(("device", "dtype", "attention"), str), "batch_tokens": at_least(1, int)}
    )


def open_vllm(spec: str = "") -> ModelJudge:
    """A checkpoint in a vLLM engine: vllm:FOLDER_OR_HUB_ID?tensor_parallel_size=2&max_model_len=8192.

    Options: dtype, tensor_parallel_size, max_model_len, max_num_seqs, gpu_memory_utilization.
    """
    numbers = dict.fromkeys(("tensor_parallel_size", "max_model_len", "max_num_seqs"), at_least(1, int))
    return _judge("vllm", spec, {"dtype": str, **numbers, "gpu_memory_utilization": at_least(0, float)})


def _judge(backend: str, spec: str, known: Options) -> ModelJudge:
    checkpoint, options = parse_spec(backend, spec, known)
    model = open_model(backend, checkpoint, {"text_only": True, **options})
    load_model(model)  # a judge that cannot be loaded is known before the model has answered
    return ModelJudge(model, f"{backend}:{checkpoint}")
