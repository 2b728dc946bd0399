"""Backend `vllm`: the same checkpoints on vLLM's engine, which is kept full while requests come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow

from harness.api import HarnessError, Request, Response
from harness.models.fingerprint import checkpoint_fingerprint
from harness.models.load import load_processor, resolve
from harness.models.preprocess import PROMPT_ERRORS, Preprocessor, prompt_key
from harness.models.text_only import TextProcessor

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def open_model(spec: str, **options: Any) -> VLLMModel:
    """Start an engine on a checkpoint: a folder, `embedded/<name>`, or a hub id `owner/name[@revision]`.

    Options: `dtype` (auto: as backend hf, so bfloat16 on CUDA and float32 on CPU), `window`, `max_images` of a prompt,
    `text_only` (no prompt will hold an image: a language model will do), and any field of vLLM's EngineArgs:
    tensor_parallel_size, max_model_len, gpu_memory_utilization, max_num_seqs, mm_processor_kwargs, ...
    HarnessError where vllm is missing or does not know an option.
    """
    options.pop("batch_tokens", None)  # the engine forms the batches
    try:
        import vllm
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine
    except ImportError as error:
        raise HarnessError(
            f"backend vllm needs the package vllm: {error}",
            "pip install 'masters-harness[vllm]'",
        ) from error
    folder = resolve(spec)
    dtype = options.pop("dtype", "auto")
    if dtype == "auto":
        dtype = "bfloat16" if torch.cuda.is_available() else "float32"
    if dtype not in _DTYPES:
        raise HarnessError(f"dtype {dtype!r} is unknown", f"use auto, {', '.join(_DTYPES)}")
    window, images = options.pop("window", 512), {"image": options.pop("max_images", 16)}
    text_only = options.pop("text_only", False)
    fields = EngineArgs.__dataclass_fields__
    unknown = sorted(set(options) - set(fields))
    if unknown:
        raise HarnessError(f"vLLM {vllm.__version__} has no option {unknown[0]!r}", "see `vllm serve --help=all`")
    processor = load_processor(folder, text_only)
    if not isinstance(processor, TextProcessor):
        options.setdefault("limit_mm_per_prompt", images)
    settings = {
        "logprobs_mode": "processed_logprobs", "disable_log_stats": True,
        "trust_remote_code": False, "load_format": "safetensors", "generation_config": "vllm", **options,
    }  # fmt: skip
    engine = LLMEngine.from_engine_args(EngineArgs(model=str(folder), dtype=dtype, **settings))
    return VLLMModel(engine, Preprocessor(processor), folder, name=spec, window=window)


class VLLMModel:
    """A running engine, as a Model. At most `window` requests are inside at a time; each leaves when it is done.

    Prompts come from the checkpoint's own chat template, as in backend hf; image placeholders are vLLM's. Sampling is
    seeded per request by generation seed and prompt. `logprobs` are those of the distribution that was drawn from.
    """

    def __init__(self, engine: Any, preprocessor: Preprocessor, folder: Path, *, name: str, window: int = 512) -> None:
        self.name = name
        self.engine = engine
        self.preprocessor = preprocessor
        self._folder = folder
        self._window = window
        self._refusals = _refusals()

    def fingerprint(self) -> str:
        """Content hash of the checkpoint's files, the dtype, and the engine's version and image settings."""
        import vllm

        config = self.engine.model_config
        images = getattr(config.multimodal_config, "mm_processor_kwargs", None)  # a language model has no such config
        engine = f"vllm {vllm.__version__} {config.max_model_len} {images}"
        files = checkpoint_fingerprint(self._folder, str(config.dtype))
        return hashlib.sha256(f"{engine} {files}".encode()).hexdigest()

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """Yield (index, response) as the engine finishes them; errors of single requests as responses."""
        source = enumerate(requests)
        inside: dict[str, tuple[int, Request]] = {}
        more = True
        try:
            while more or inside:
                while more and len(inside) < self._window:
                    following = next(source, None)
                    more = following is not None
                    if following is not None:
                        error = self._add(*following)
                        if error:
                            yield from ((following[0], response) for response in _failed(following[1], error))
                        else:
                            inside[str(following[0])] = following
                for output in self.engine.step() if inside else []:
                    if output.finished:
                        index, request = inside.pop(output.request_id)
                        yield from ((index, response) for response in self._responses(output, request))
        finally:
            if inside:
                self.engine.abort_request(list(inside))

    def _add(self, index: int, request: Request) -> str:
        """Hand a request to the engine; the reason where it cannot be (its prompt is broken or too long)."""
        try:
            text = self.preprocessor.prompt(request)
            prompt: dict[str, Any] = {"prompt": text}
            if request.images:
                images = [Pillow.open(BytesIO(image.read())).convert("RGB") for image in request.images]
                prompt["multi_modal_data"] = {"image": images}
            bos = self.preprocessor.tokenizer.bos_token
            self.engine.add_request(
                str(index), prompt, _parameters(request),
                tokenization_kwargs={"add_special_tokens": not (bos and text.startswith(bos))},
            )  # fmt: skip
        except self._refusals as error:
            return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        return ""

    def _responses(self, output: Any, request: Request) -> list[Response]:
        if len(output.outputs) < request.generation.n:
            return [self._response(output, output.outputs[0], k) for k in range(request.generation.n)]
        return [self._response(output, answer, answer.index) for answer in output.outputs]

    def _response(self, output: Any, answer: Any, sample: int) -> Response:
        if answer.finish_reason not in ("stop", "length"):
            return Response("", finish="error", error=f"vLLM ended with {answer.finish_reason!r}", sample_index=sample)
        ids = tuple(answer.token_ids)
        chosen = zip(ids, answer.logprobs, strict=True) if answer.logprobs else ()
        return Response(
            # The engine's own text lacks a last character that is not complete; a stop string is cut by the engine.
            text=answer.text if isinstance(answer.stop_reason, str) else self._text(ids),
            finish=answer.finish_reason,
            token_ids=ids,
            logprobs=tuple(at[token].logprob for token, at in chosen),
            prompt_tokens=len(output.prompt_token_ids),
            sample_index=sample,
        )

    def _text(self, ids: tuple[int, ...]) -> str:
        text: str = self.preprocessor.tokenizer.decode(ids, skip_special_tokens=True)
        return text


def _refusals() -> tuple[type[Exception], ...]:
    """What a prompt that cannot be answered makes our preparation or the engine raise."""
    from vllm.exceptions import VLLMClientError

    return (*PROMPT_ERRORS, VLLMClientError)


def _parameters(request: Request) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    settings = request.generation
    seed = hashlib.sha256(f"{settings.seed} {prompt_key(request)}".encode()).digest()[:4]
    return SamplingParams(
        # Greedy samples are all the same: the engine makes one, and `_responses` repeats it.
        n=settings.n if settings.temperature else 1,
        max_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        repetition_penalty=settings.repetition_penalty,
        stop=list(settings.stop) or None,
        seed=int.from_bytes(seed, "big"),
        logprobs=0 if settings.logprobs else None,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _failed(request: Request, error: str) -> list[Response]:
    return [Response("", finish="error", error=error, sample_index=k) for k in range(request.generation.n)]
