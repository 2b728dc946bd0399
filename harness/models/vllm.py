"""Backend `vllm`: the same checkpoints on vLLM's engine, which is kept full while requests come."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow

from harness.api import HarnessError, Request, Response
from harness.models.fingerprint import checkpoint_fingerprint
from harness.models.load import load_processor, resolve
from harness.models.options import check_options
from harness.models.pad_heads import padded
from harness.models.preprocess import Preprocessor, prompt_key
from harness.models.prompt_errors import PROMPT_ERRORS
from harness.models.seen import Seen, TokenScores, pictures
from harness.models.sizing import Need, largest
from harness.models.streaming import event_loop, stream
from harness.models.text_only import TextProcessor

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: Options of the engine that decide how fast it answers, not what: they are no part of a response's identity.
_NEUTRAL = {
    "tensor_parallel_size", "data_parallel_size", "pipeline_parallel_size", "distributed_executor_backend",
    "gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_seqs", "max_num_batched_tokens", "enforce_eager",
    "enable_prefix_caching", "mm_processor_cache_gb", "max_logprobs", "disable_log_stats", "data_parallel_backend",
}  # fmt: skip


def open_model(spec: str, **options: Any) -> VLLMModel:
    """A checkpoint for vLLM: a folder, `embedded/<name>`, or a hub id `owner/name[@revision]`.

    The engine starts when the first request is made, for prompts as long as the longest that is waiting. Options:
    those of VLLMModel, and any field of vLLM's EngineArgs: tensor_parallel_size, data_parallel_size, max_model_len,
    gpu_memory_utilization, max_num_seqs, mm_processor_kwargs, ... HarnessError where vllm is missing or does not know
    an option. Adapters are not loaded: merge them into the checkpoint.
    """
    options.pop("batch_tokens", None)  # the engine forms the batches
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")  # else its log drowns the results
    try:
        import vllm
        from vllm.engine.arg_utils import AsyncEngineArgs
    except ImportError as error:
        raise HarnessError(
            f"backend vllm needs the package vllm: {error}",
            "pip install 'masters-harness[vllm]'",
        ) from error
    fields = AsyncEngineArgs.__dataclass_fields__
    engine = {name: options.pop(name) for name in list(options) if name in fields and name != "dtype"}
    if engine.pop("enable_lora", False):
        raise HarnessError("LoRA adapters are not part of a model's fingerprint", "merge the adapter into a checkpoint")
    if unknown := sorted(set(options) - {"dtype", "window", "max_images", "preprocessor", "text_only"}):
        raise HarnessError(f"vLLM {vllm.__version__} has no option {unknown[0]!r}", "see `vllm serve --help=all`")
    check_options("vllm", options, VLLMModel, "preprocessor")
    return VLLMModel(resolve(spec), name=spec, engine=engine, **options)


class VLLMModel:
    """An engine, as a Model. At most `window` requests are inside at a time; each leaves when it is done.

    Prompts come from the checkpoint's own chat template, as in backend hf; image placeholders are vLLM's. Sampling is
    seeded per request by generation seed and prompt. `logprobs` are those of the distribution that was drawn from.
    `dtype` auto is bfloat16 on CUDA and float32 on CPU, as in backend hf. A prompt may hold `max_images` images
    (None: as many as the requests that are waiting do, else 16). With `text_only` none does: a language model will do.
    """

    def __init__(
        self, folder: Path, *, name: str, engine: Mapping[str, Any], preprocessor: Preprocessor | None = None,
        dtype: str = "auto", window: int = 512, max_images: int | None = None, text_only: bool = False,
    ) -> None:  # fmt: skip
        if dtype == "auto":
            dtype = "bfloat16" if torch.cuda.is_available() else "float32"
        if dtype not in _DTYPES:
            raise HarnessError(f"dtype {dtype!r} is unknown", f"use auto, {', '.join(_DTYPES)}")
        self.name = name
        self.watch: Callable[[int, Seen], None] | None = None
        processor = None if preprocessor else load_processor(folder, text_only)
        self._sees = not isinstance(processor, TextProcessor)
        self.preprocessor = preprocessor or Preprocessor(processor)
        self._folder, self._options, self._dtype = folder, dict(engine), dtype
        self._window, self._max_images = window, max_images
        self._need: Need | None = None
        self._started: Need | None = None
        self._open = ExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Any = None
        self._asked = 0

    def fingerprint(self) -> str:
        """Content hash of the checkpoint's files, dtype, the engine's version and the options that decide answers."""
        import vllm

        deciding = sorted((k, repr(v)) for k, v in self._options.items() if k not in _NEUTRAL)
        files = checkpoint_fingerprint(self._folder, str(_DTYPES[self._dtype]))
        if (served := self._served()) != self._folder:
            files += f" as {served.name}"
        return hashlib.sha256(f"vllm {vllm.__version__} {deciding} {files}".encode()).hexdigest()

    def expect(self, requests: Iterable[Request]) -> None:
        """Choose the engine's context length and images a prompt by what is waiting; a running one that is too small
        is replaced.
        """
        self._need = largest(self.preprocessor, requests) or self._need
        if self._started is not None and not self._started.holds(self._wanted()):
            self.close()

    def close(self) -> None:
        """Stop the engine; it starts anew with the next request."""
        self._open.close()
        self._engine = self._started = self._loop = None

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """Yield (index, response) as the engine finishes them; errors of single requests as responses."""
        yield from self._stream(enumerate(requests), self._answer)

    def score(self, pairs: Iterable[tuple[Request, Sequence[int]]], top: int = 0) -> Iterator[tuple[int, TokenScores]]:
        """Yield (index, log-probabilities of the given tokens after the request's prompt) as they are computed.

        For behaviour log-probs and teacher signals; `top` beyond 20 needs the option max_logprobs (-1: no limit).
        HarnessError for a pair that cannot be scored.
        """

        async def ask(index: int, asked: tuple[int, tuple[Request, Sequence[int]]]) -> list[TokenScores]:
            return [await self._score(*asked[1], top)]

        yield from self._stream(enumerate(pairs), ask)

    # ------------------------------------------------------------ the engine

    def _stream(self, asked: Iterable[Any], ask: Any) -> Iterator[tuple[int, Any]]:
        """Answers of a stream of requests; the engine starts with the first."""
        source = iter(asked)
        first = next(source, None)
        if first is None:
            return

        def chained() -> Iterator[Any]:
            yield first
            yield from source

        self._start()
        assert self._loop is not None
        yield from stream(self._loop, chained(), ask, lambda: self._window)

    def _start(self) -> None:
        if self._engine is not None:
            return
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        arguments = {
            "logprobs_mode": "processed_logprobs", "disable_log_stats": True, "trust_remote_code": False,
            "load_format": "safetensors", "generation_config": "vllm", "enable_lora": False,
            "enable_log_requests": False, **self._options, **self._sizes(),
        }  # fmt: skip
        self._loop = self._open.enter_context(event_loop("vllm"))
        try:
            self._engine = AsyncLLM.from_engine_args(
                AsyncEngineArgs(model=str(self._served()), dtype=self._dtype, **arguments)
            )
        except (ValueError, RuntimeError, OSError) as error:
            self.close()
            raise HarnessError(
                f"vLLM does not start with {self._folder}: {' '.join(str(error).split())[:500]}",
                "its log says more: VLLM_LOGGING_LEVEL=INFO; options such as gpu_memory_utilization=0.8 or"
                " max_model_len=8192 are given with --backend-option",
            ) from error
        self._open.callback(self._engine.shutdown)
        config = self._engine.vllm_config.model_config
        sees = config.multimodal_config  # a language model has none
        self._started = Need(config.max_model_len, sees.get_limit_per_prompt("image") if sees is not None else 0)

    def _served(self) -> Path:
        """The checkpoint, or a copy with wider heads where the kernels of this machine do not know its width."""
        from vllm.platforms import current_platform

        if not current_platform.is_cpu():
            return self._folder
        from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

        return padded(self._folder, CPUAttentionBackend.get_supported_head_sizes())

    def _wanted(self) -> Need:
        """Context length (0: all that the model reads) and images a prompt: stated, else what is needed."""
        import transformers

        need = self._need or Need(0, 16)
        text = transformers.AutoConfig.from_pretrained(self._folder, local_files_only=True).get_text_config()
        reads = getattr(text, "max_position_embeddings", None) or need.tokens
        length = self._options.get("max_model_len") or min(need.tokens, reads)
        images = max(1, need.images) if self._max_images is None else self._max_images
        return Need(length, images if self._sees else 0)

    def _sizes(self) -> dict[str, Any]:
        wanted = self._wanted()
        sizes: dict[str, Any] = {"limit_mm_per_prompt": {"image": wanted.images}} if self._sees else {}
        return {**sizes, "max_model_len": wanted.tokens} if wanted.tokens else sizes

    # ------------------------------------------------------------ one request

    async def _answer(self, _: int, asked: tuple[int, Request]) -> list[Response]:
        index, request = asked
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        parameters = _parameters(request)
        try:
            prompt = await self._render(request)
            if self.watch is not None:
                self.watch(index, self._seen(prompt, parameters))
            output = await self._run(prompt, parameters)
        except (*PROMPT_ERRORS, VLLMClientError, EngineGenerateError) as error:
            return _failed(request, error)
        except EngineDeadError as error:
            raise _dead(error) from error
        if len(output.outputs) < request.generation.n:
            return [self._response(output, output.outputs[0], k) for k in range(request.generation.n)]
        return [self._response(output, answer, answer.index) for answer in output.outputs]

    async def _render(self, request: Request, answer: Sequence[int] = ()) -> Any:
        """The request (and tokens that follow it) as the engine's input, images processed."""
        from vllm.renderers.inputs.preprocess import parse_model_prompt

        text, images = await asyncio.to_thread(self._read, request)
        bos = self.preprocessor.tokenizer.bos_token
        special = not (bos and text.startswith(bos))
        prompt: dict[str, Any] = {"prompt": text}
        if answer:
            ids = self.preprocessor.tokenizer(text, add_special_tokens=special)["input_ids"]
            prompt = {"prompt_token_ids": [*ids, *answer]}
        if images:
            prompt["multi_modal_data"] = {"image": images}
        renderer = self._engine.renderer
        parameters = renderer.default_cmpl_tok_params.with_kwargs(add_special_tokens=special)
        parsed = parse_model_prompt(self._engine.model_config, prompt)
        # What is watched is processed anew: the engine's cache would return nothing to look at.
        [rendered] = await renderer.render_cmpl_async([parsed], parameters, skip_mm_cache=self.watch is not None)
        return rendered

    def _read(self, request: Request) -> tuple[str, list[Pillow.Image]]:
        """The prompt's text and decoded images: in a thread, where it holds nobody up."""
        images = [Pillow.open(BytesIO(image.read())).convert("RGB") for image in request.images]
        return self.preprocessor.prompt(request), images

    async def _run(self, prompt: Any, parameters: Any) -> Any:
        self._asked += 1
        outputs = [output async for output in self._engine.generate(prompt, parameters, str(self._asked))]
        return outputs[-1]  # the only one: FINAL_ONLY

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

    async def _score(self, request: Request, tokens: Sequence[int], top: int) -> TokenScores:
        from vllm import SamplingParams
        from vllm.exceptions import VLLMClientError
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        parameters = SamplingParams(
            max_tokens=1, temperature=0, prompt_logprobs=top, output_kind=RequestOutputKind.FINAL_ONLY
        )
        try:
            output = await self._run(await self._render(request, tokens), parameters)
        except (*PROMPT_ERRORS, VLLMClientError) as error:
            raise HarnessError(
                f"these tokens cannot be scored: {_first_line(error)}", "see the backend's limits"
            ) from error
        except EngineDeadError as error:
            raise _dead(error) from error
        places = output.prompt_logprobs[len(output.prompt_logprobs) - len(tokens) :]
        ranked = [sorted(place.items(), key=lambda item: item[1].rank) for place in places]
        return TokenScores(
            tuple(place[token].logprob for place, token in zip(places, tokens, strict=True)),
            tuple(tuple((token, entry.logprob) for token, entry in place[:top]) for place in ranked) if top else (),
        )

    def _seen(self, prompt: Any, parameters: Any) -> Seen:
        items = prompt["mm_kwargs"].get("image", []) if "mm_kwargs" in prompt else []
        grid, pixels = pictures(item.get_data() for item in items)
        config, ids = self._engine.model_config, tuple(prompt["prompt_token_ids"])
        eos = config.try_get_generation_config().get("eos_token_id", [])
        ends = {*([eos] if isinstance(eos, int) else eos), self.preprocessor.tokenizer.eos_token_id}
        settings = {
            "max_new_tokens": min(parameters.max_tokens, config.max_model_len - len(ids)),
            "temperature": parameters.temperature,
            "top_p": parameters.top_p,
            "top_k": max(0, parameters.top_k),
            "repetition_penalty": parameters.repetition_penalty,
            "stop": list(parameters.stop),
            "eos": sorted(ends),
        }
        return Seen(ids, grid, pixels, settings)

    def _text(self, ids: tuple[int, ...]) -> str:
        text: str = self.preprocessor.tokenizer.decode(ids, skip_special_tokens=True)
        return text


def _parameters(request: Request) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    settings = request.generation
    seed = hashlib.sha256(f"{settings.seed} {prompt_key(request)}".encode()).digest()[:4]
    return SamplingParams(
        # Greedy samples are all the same: the engine makes one, and `_answer` repeats it.
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


def _failed(request: Request, error: BaseException) -> list[Response]:
    text = f"{type(error).__name__}: {_first_line(error)}"
    return [Response("", finish="error", error=text, sample_index=k) for k in range(request.generation.n)]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or str(error.__cause__ or type(error).__name__)).splitlines()[0]


def _dead(error: BaseException) -> HarnessError:
    return HarnessError(
        f"the vLLM engine died: {_first_line(error)}",
        "its log above says why (memory: lower gpu_memory_utilization or max_num_seqs); the same command resumes",
    )
