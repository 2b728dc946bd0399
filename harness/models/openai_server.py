"""Backend `openai`: any server that speaks the OpenAI chat API (`vllm serve`, SGLang, llama.cpp, hosted models)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.api import Generation, HarnessError, Image, Request, Response
from harness.models.concurrency import AdaptiveLimit

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_HOSTED = "https://api.openai.com/v1"
_MAGIC = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp", b"BM": "bmp", b"II*\0": "tiff"}


def open_model(spec: str, **options: Any) -> OpenAIModel:
    """The model that a server calls `spec`. The server is OPENAI_BASE_URL, the key OPENAI_API_KEY of the environment.

    Options: those of OpenAIModel. HarnessError where `openai` is not installed, the server cannot be reached, refuses
    the key, or does not serve the model.
    """
    options.pop("batch_tokens", None)  # the server forms the batches
    model = OpenAIModel(spec, **options)
    model.check()
    return model


@dataclass(slots=True)
class Usage:
    """What the server says it spent, and how often it had to be asked again."""

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def cost(self, per_million_prompt: float, per_million_completion: float) -> float:
        """Price of the tokens, in the currency of the two prices."""
        return (self.prompt_tokens * per_million_prompt + self.completion_tokens * per_million_completion) / 1e6


class OpenAIModel:
    """A served model, as a Model.

    Up to `concurrency` requests are under way; the number is found by going up while answers come and down when the
    server is overloaded. A request is asked at most `attempts` times, each `timeout` seconds, with growing pauses (or
    as long as the server's Retry-After says); then it is an error of its item. `extra` goes into every request's body
    (for vLLM for instance {"mm_processor_kwargs": {...}}); `token_ids` asks vLLM to return them.
    """

    def __init__(
        self, name: str, *, base_url: str | None = None, concurrency: int = 64, timeout: float = 600.0,
        attempts: int = 6, pause: float = 1.0, token_ids: bool = False, extra: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.usage = Usage()
        self._url = base_url or os.environ.get("OPENAI_BASE_URL") or _HOSTED
        self._concurrency, self._timeout, self._attempts, self._pause = concurrency, timeout, attempts, pause
        self._extra = dict(extra or {}, **({"return_token_ids": True} if token_ids else {}))
        self._served: dict[str, Any] = {}

    def check(self) -> None:
        """Ask the server for the model, so that a wrong address, key or name is told before anything is sent."""

        async def look() -> Any:
            async with self._client() as client:
                return await _answers(client.models.list(), self._url)

        with _loop() as loop:
            served = {
                model.id: model.to_dict() for model in asyncio.run_coroutine_threadsafe(look(), loop).result().data
            }
        if self.name not in served:
            names = ", ".join(sorted(served)[:10]) or "nothing"
            raise HarnessError(f"{self._url} does not serve {self.name!r}", f"it serves: {names}")
        self._served = served[self.name]

    def fingerprint(self) -> str:
        """Hash of the address, the model's name and root there, and `extra`: a server does not show its weights."""
        known = {key: self._served.get(key) for key in ("id", "root", "parent", "max_model_len")}
        return hashlib.sha256(
            json.dumps([self._url, self.name, known, self._extra], sort_keys=True).encode()
        ).hexdigest()

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """Yield (index, response) as the server answers; `requests` is read no further than `concurrency` ahead."""
        source = enumerate(requests)
        limit = AdaptiveLimit(self._concurrency)
        pending: dict[Future[list[Response]], int] = {}
        more = True
        with _loop() as loop:
            client = self._client()
            try:
                while True:
                    while more and len(pending) < limit.value:
                        following = next(source, None)
                        more = following is not None
                        if following is not None:
                            asked = self._ask(client, following[1], limit)
                            pending[asyncio.run_coroutine_threadsafe(asked, loop)] = following[0]
                    if not pending:
                        return
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        index = pending.pop(future)
                        yield from ((index, response) for response in future.result())
            finally:
                for future in pending:
                    future.cancel()
                asyncio.run_coroutine_threadsafe(client.close(), loop).result()

    def _client(self) -> AsyncOpenAI:
        try:
            from openai import AsyncOpenAI
        except ImportError as error:
            raise HarnessError(
                "backend openai needs the package openai", "pip install 'masters-harness[openai]'"
            ) from error
        key = os.environ.get("OPENAI_API_KEY")
        if not key and self._url == _HOSTED:
            raise HarnessError(
                "OPENAI_API_KEY is not set", "export it, or set OPENAI_BASE_URL to a server of your own (vllm serve)"
            )
        return AsyncOpenAI(api_key=key or "none", base_url=self._url, timeout=self._timeout, max_retries=0)

    async def _ask(self, client: AsyncOpenAI, request: Request, limit: AdaptiveLimit) -> list[Response]:
        """All samples of a request; an answer, or the reason why there is none."""
        import openai

        try:
            body = {"model": self.name, "messages": _messages(request), **_settings(request.generation)}
        except (OSError, ValueError) as error:
            return _failed(request, f"{type(error).__name__}: {error}")
        body["extra_body"] = {**body.get("extra_body", {}), **self._extra}
        self.usage.requests += 1
        for attempt in range(1, self._attempts + 1):
            try:
                completion = await client.chat.completions.create(**body)
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
                raise _refusal(error, self._url) from None  # the body of such an error may show the key
            except (openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError) as error:
                limit.overloaded()
                if attempt == self._attempts:
                    return _failed(request, f"{type(error).__name__} after {attempt} attempts: {error}")
                self.usage.retries += 1
                await asyncio.sleep(_seconds(error, self._pause, attempt))
            except openai.APIError as error:
                return _failed(request, f"{type(error).__name__}: {error}")
            else:
                limit.answered()
                return self._read(completion, request)
        return []

    def _read(self, completion: Any, request: Request) -> list[Response]:
        if completion.usage is not None:
            self.usage.prompt_tokens += completion.usage.prompt_tokens
            self.usage.completion_tokens += completion.usage.completion_tokens
        prompt = completion.usage.prompt_tokens if completion.usage is not None else 0
        choices = sorted(completion.choices, key=lambda choice: choice.index)
        if len(choices) != request.generation.n:
            return _failed(request, f"the server gave {len(choices)} answers of {request.generation.n}")
        return [_response(choice, prompt) for choice in choices]


def _response(choice: Any, prompt_tokens: int) -> Response:
    if choice.finish_reason not in ("stop", "length"):
        return Response(
            "", finish="error", error=f"the server ended with {choice.finish_reason!r}", sample_index=choice.index
        )
    content = choice.logprobs.content if choice.logprobs is not None and choice.logprobs.content else []
    return Response(
        text=choice.message.content or getattr(choice.message, "refusal", None) or "",
        finish=choice.finish_reason,
        token_ids=tuple(getattr(choice, "token_ids", None) or ()),
        logprobs=tuple(token.logprob for token in content),
        prompt_tokens=prompt_tokens,
        sample_index=choice.index,
    )


def _failed(request: Request, error: str) -> list[Response]:
    return [Response("", finish="error", error=error, sample_index=k) for k in range(request.generation.n)]


def _messages(request: Request) -> list[dict[str, Any]]:
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": _url(part)}}
        for part in request.parts
    ]
    system = [{"role": "system", "content": request.system}] if request.system else []
    return [*system, {"role": "user", "content": content}]


def _url(image: Image) -> str:
    data = image.read()
    kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
    if kind is None:
        raise ValueError(f"image {image.sha256[:12]} is no PNG, JPEG, GIF, WebP, BMP or TIFF")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _settings(generation: Generation) -> dict[str, Any]:
    """The request's fields; those that are not the API's own are sent only where they differ from its default."""
    extra: dict[str, Any] = {}
    if generation.top_k:
        extra["top_k"] = generation.top_k
    if generation.repetition_penalty != 1:
        extra["repetition_penalty"] = generation.repetition_penalty
    fields: dict[str, Any] = {
        "max_completion_tokens": generation.max_new_tokens,
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "n": generation.n,
        "seed": generation.seed,
        "extra_body": extra,
    }
    if generation.stop:
        fields["stop"] = list(generation.stop)
    if generation.logprobs:
        fields["logprobs"] = True
    return fields


def _seconds(error: Any, pause: float, attempt: int) -> float:
    """How long to wait: what the server says, else doubling, at most a minute."""
    told = error.response.headers.get("retry-after", "") if getattr(error, "response", None) is not None else ""
    return min(60.0, float(told)) if told.replace(".", "", 1).isdigit() else min(60.0, pause * 2 ** (attempt - 1))


async def _answers(call: Any, url: str) -> Any:
    import openai

    try:
        return await call
    except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
        raise _refusal(error, url) from None
    except openai.APIError as error:
        raise HarnessError(
            f"{url} does not answer: {type(error).__name__}: {error}",
            "start the server (vllm serve CHECKPOINT) and set OPENAI_BASE_URL, e.g. http://localhost:8000/v1",
        ) from error


def _refusal(error: Any, url: str) -> HarnessError:
    remedy = "check OPENAI_API_KEY" if error.status_code in (401, 403) else "check OPENAI_BASE_URL and the model's name"
    return HarnessError(f"{url} refuses the request with status {error.status_code}", remedy)


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own: the caller may have one running already (a notebook)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="openai", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
