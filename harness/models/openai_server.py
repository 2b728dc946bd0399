"""Backend `openai`: any server that speaks the OpenAI chat API (`vllm serve`, SGLang, llama.cpp, hosted models)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.api import Generation, HarnessError, Image, Request, Response
from harness.models.concurrency import AdaptiveLimit
from harness.models.options import check_options
from harness.models.seen import Seen, decoding
from harness.models.streaming import event_loop, stream

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_HOSTED = "https://api.openai.com/v1"
_GIVE_UP = 8  # requests in a row on which the server failed every attempt
_PASSING = (408, 409, 425, 429)  # and all from 500 on: asked again
_MAGIC = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp", b"BM": "bmp", b"II*\0": "tiff"}


def open_model(spec: str, **options: Any) -> OpenAIModel:
    """The model that a server calls `spec`. The server is OPENAI_BASE_URL, the key OPENAI_API_KEY of the environment.

    Options: those of OpenAIModel. HarnessError where `openai` is not installed, the server cannot be reached, refuses
    the key, or does not serve the model.
    """
    options.pop("batch_tokens", None)  # the server forms the batches
    check_options("openai", options, OpenAIModel)
    model = OpenAIModel(spec, **options)
    model.check()
    return model


@dataclass(slots=True)
class Usage:
    """What the server says it spent, and how often it had to be asked again; prices are per million tokens."""

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    price_prompt: float | None = None
    price_completion: float | None = None

    @property
    def calls(self) -> int:
        """Calls made, those included that were refused or timed out."""
        return self.requests + self.retries

    @property
    def tokens(self) -> int:
        """Tokens of prompts and answers."""
        return self.prompt_tokens + self.completion_tokens

    def counts(self) -> dict[str, float]:
        """What a run records, by name; `cost` (in the currency of the prices) where a price was given."""
        counts: dict[str, float] = {
            "requests": self.requests,
            "retries": self.retries,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }
        if self.price_prompt is not None or self.price_completion is not None:
            prices = self.price_prompt or 0.0, self.price_completion or 0.0
            counts["cost"] = (self.prompt_tokens * prices[0] + self.completion_tokens * prices[1]) / 1e6
        return counts


class OpenAIModel:
    """A served model, as a Model.

    Up to `concurrency` requests are under way; the number is found by going up while answers come and down when the
    server is overloaded. A request is asked at most `attempts` times, each `timeout` seconds, with growing pauses (or
    as long as the server's Retry-After says); then it is an error of its item. Where the server fails on several
    requests in a row, the rest are errors at once. `max_calls` and `max_tokens` (prompts and answers) are budgets:
    once spent, what is left is an error; requests under way are finished. `price_prompt` and `price_completion` are
    per million tokens: the run then records its cost. `extra` goes into every request's body (for vLLM for instance
    {"mm_processor_kwargs": {...}}).

    A vLLM server is known by what it says of itself. It is told every setting, because for those that are not stated
    it takes the checkpoint's generation_config.json (a repetition penalty, for instance); and it returns token ids.
    """

    def __init__(
        self, name: str, *, base_url: str | None = None, concurrency: int = 64, timeout: float = 600.0,
        attempts: int = 6, pause: float = 1.0, max_calls: int | None = None, max_tokens: int | None = None,
        price_prompt: float | None = None, price_completion: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.watch: Callable[[int, Seen], None] | None = None
        self.usage = Usage(price_prompt=price_prompt, price_completion=price_completion)
        self._url = _without_secret(base_url or os.environ.get("OPENAI_BASE_URL") or _HOSTED)
        self._concurrency, self._timeout, self._attempts, self._pause = concurrency, timeout, attempts, pause
        self._max_calls, self._max_tokens = max_calls, max_tokens
        self._given_up, self._last_failure = 0, ""
        self._extra = dict(extra or {})
        self._served: dict[str, Any] = {}

    def check(self) -> None:
        """Ask the server for the model, so that a wrong address, key or name is told before anything is sent."""

        async def look() -> Any:
            async with self._client() as client:
                return await _answers(client.models.list(), self._url)

        with event_loop("openai") as loop:
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
        limit = AdaptiveLimit(self._concurrency)
        self._given_up = 0
        with event_loop("openai") as loop:
            client = self._client()
            try:
                yield from stream(
                    loop, requests, lambda index, request: self._ask(client, index, request, limit), lambda: limit.value
                )
            finally:
                asyncio.run_coroutine_threadsafe(client.close(), loop).result()

    def check_ready(self) -> None:
        """HarnessError where `openai` is not installed, or no key is set for the hosted service; nothing is sent."""
        if find_spec("openai") is None:
            raise HarnessError("backend openai needs the package openai", "pip install 'masters-harness[openai]'")
        if not os.environ.get("OPENAI_API_KEY") and self._url == _HOSTED:
            raise HarnessError(
                "OPENAI_API_KEY is not set", "export it, or set OPENAI_BASE_URL to a server of your own (vllm serve)"
            )

    def _client(self) -> AsyncOpenAI:
        self.check_ready()
        from openai import AsyncOpenAI

        return AsyncOpenAI(api_key=_key_for(self._url), base_url=self._url, timeout=self._timeout, max_retries=0)

    def body(self, request: Request) -> dict[str, Any]:
        """What the server is sent for a request; OSError or ValueError for an image that cannot be sent."""
        body = {"model": self.name, "messages": _messages(request), **_settings(request.generation, self.is_vllm)}
        body["extra_body"] = {**body["extra_body"], **self._extra}
        if length := self._served.get("max_model_len"):  # vLLM refuses to be asked for more than its whole context
            body["max_completion_tokens"] = min(body["max_completion_tokens"], length)
        return body

    @property
    def is_vllm(self) -> bool:
        """Whether the server says that it is vLLM's (known after `check`)."""
        return bool(self._served.get("owned_by") == "vllm")

    async def _ask(self, client: AsyncOpenAI, index: int, request: Request, limit: AdaptiveLimit) -> list[Response]:
        """All samples of a request; an answer, or the reason why there is none."""
        import openai

        try:
            body = self.body(request)
        except (OSError, ValueError) as error:
            return _failed(request, f"{type(error).__name__}: {error}")
        for attempt in range(1, self._attempts + 1):
            if reason := self._spent():
                return _failed(request, reason)
            self.usage.requests += attempt == 1
            self.usage.retries += attempt > 1
            try:
                completion, responses = await self._complete(client, body)
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
                raise _refusal(error, self._url) from None  # the body of such an error may show the key
            except (openai.APIError, TimeoutError, ValueError) as error:
                if not _passing(error):
                    return _failed(request, _described(error))
                limit.overloaded()
                self._last_failure = _described(error)
                if attempt < self._attempts:
                    await asyncio.sleep(_seconds(error, self._pause, attempt))
            else:
                limit.answered()
                self._given_up = 0
                if self.watch is not None:
                    self.watch(index, self._seen(completion, request.generation))
                return responses
        self._given_up += 1
        return _failed(request, f"{self._last_failure} (after {self._attempts} attempts)")

    def _spent(self) -> str:
        """Why nothing more is sent: a budget is spent, or the server is gone; "" while it goes on."""
        if self._given_up >= _GIVE_UP:
            return f"the server failed on {self._given_up} requests in a row: {self._last_failure}"
        if self._max_calls is not None and self.usage.calls >= self._max_calls:
            return f"the budget of {self._max_calls} calls is spent"
        if self._max_tokens is not None and self.usage.tokens >= self._max_tokens:
            return f"the budget of {self._max_tokens} tokens is spent"
        return ""

    async def _complete(self, client: AsyncOpenAI, body: dict[str, Any]) -> tuple[Any, list[Response]]:
        """The server's answer, and read; ValueError where it is none (an error page, cut JSON, no choices)."""
        async with asyncio.timeout(self._timeout):  # the client's own time-out starts anew with every byte
            completion = await client.chat.completions.create(**body)
        try:
            usage = completion.usage
            prompt, new = (usage.prompt_tokens or 0, usage.completion_tokens or 0) if usage is not None else (0, 0)
            responses = [_response(choice, place, prompt) for place, choice in enumerate(completion.choices)]
            self.usage.prompt_tokens += prompt
            self.usage.completion_tokens += new
        except (AttributeError, TypeError) as error:  # the client does not check what it was sent
            raise ValueError(f"no chat completion: {str(completion)[:200]!r}") from error
        if len(responses) != body["n"]:
            raise ValueError(f"the server gave {len(responses)} answers of {body['n']}")
        return completion, responses

    def _seen(self, completion: Any, generation: Generation) -> Seen:
        """What a server tells: vLLM's the prompt's tokens, none what became of the images or what ends an answer."""
        ids = tuple(getattr(completion, "prompt_token_ids", None) or ())
        length = self._served.get("max_model_len") or 1 << 30
        return Seen(ids, settings=decoding(generation, length - len(ids)))


def _response(choice: Any, place: int, prompt_tokens: int) -> Response:
    """One choice; servers that are not OpenAI's may leave out its index and why it ended."""
    index = place if choice.index is None else choice.index
    finish = choice.finish_reason or "stop"
    if finish not in ("stop", "length"):
        return Response("", finish="error", error=f"the server ended with {finish!r}", sample_index=index)
    text = choice.message.content or getattr(choice.message, "refusal", None) or ""
    if not isinstance(text, str):
        raise TypeError(f"content of type {type(text).__name__}")
    content = choice.logprobs.content if choice.logprobs is not None and choice.logprobs.content else []
    return Response(
        text=text,
        finish=finish,
        token_ids=tuple(getattr(choice, "token_ids", None) or ()),
        logprobs=tuple(token.logprob for token in content),
        prompt_tokens=prompt_tokens,
        sample_index=index,
    )


def _without_secret(url: str) -> str:
    """The address, which errors and manifests show; HarnessError where it holds a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HarnessError("the server's address is no http(s) URL", "write http://HOST:PORT/v1")
    if parts.query or parts.fragment:
        raise HarnessError(
            f"the server's address ends with a query: {parts.scheme}://{parts.hostname}/...?***",
            "write http://HOST:PORT/v1; a key is given as OPENAI_API_KEY: the address is written into manifests",
        )
    if parts.username or parts.password:
        raise HarnessError(
            f"the server's address holds a password: {parts.scheme}://***@{parts.hostname}",
            "give the key as OPENAI_API_KEY: the address is written into manifests and errors",
        )
    return url


def _key_for(url: str) -> str:
    """The key of the environment, for the server of the environment and for this machine only.

    A recipe or a judge's options may name any server, and may come from somebody else.
    """
    key = os.environ.get("OPENAI_API_KEY")
    host, own = urlsplit(url).hostname, urlsplit(os.environ.get("OPENAI_BASE_URL") or _HOSTED).hostname
    if key and host not in (own, "localhost", "127.0.0.1", "::1"):
        raise HarnessError(
            f"OPENAI_API_KEY is the key of {own} and is not sent to {host}",
            f"unset it, or export OPENAI_BASE_URL={url} if it is the key of that server",
        )
    return key or "none"


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


def _settings(generation: Generation, vllm: bool) -> dict[str, Any]:
    """The request's fields; of those that are not the API's own, a server that is not vLLM's is sent only what differs
    from the default.
    """
    extra: dict[str, Any] = {"return_token_ids": True, "min_p": 0.0} if vllm else {}
    if generation.top_k or vllm:
        extra["top_k"] = generation.top_k
    if generation.repetition_penalty != 1 or vllm:
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


def _passing(error: Exception) -> bool:
    """Whether another attempt may succeed: overload, no connection, no answer in time, an answer that is none."""
    from openai import APIConnectionError, APIError

    status = getattr(error, "status_code", None)
    if status is not None:
        return status in _PASSING or status >= 500
    return isinstance(error, APIConnectionError) or not isinstance(error, APIError)


def _described(error: Exception) -> str:
    """The error in a line, without the key (a server may repeat it)."""
    key = os.environ.get("OPENAI_API_KEY")
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {text.replace(key, '***') if key else text}"


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
