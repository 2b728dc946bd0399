"""The batches of a module: of like length, prepared ahead, within a budget of tokens, halved where one fails."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from harness import interrupt
from harness.api import HarnessError, Request, Response
from harness.models.decode import Row, decode, sampling_key, token_scores
from harness.models.lookahead import Item, Ready, look_ahead
from harness.models.preprocess import Preprocessor
from harness.models.prompt_errors import PROMPT_ERRORS
from harness.models.seen import Seen, TokenScores, decoding, pictures

log = logging.getLogger(__name__)

#: A row of a batch counts its prompt and at most this many of its new tokens (few use all of them).
NEW_TOKENS_COUNTED = 128


class Loaded(Protocol):
    """What is decoded: a module with what makes its prompts, and how many tokens its batches may hold."""

    name: str
    batch_tokens: int
    watch: Callable[[int, Seen], None] | None

    @property
    def module(self) -> Any:
        """The loaded module."""
        ...

    @property
    def preprocessor(self) -> Preprocessor:
        """What makes prompts of requests."""
        ...


class Batches:
    """Forms the batches of a model and decodes them. The arguments are HFModel's."""

    def __init__(self, model: Loaded, window: int, window_bytes: int, workers: int | None) -> None:
        self._model = model
        self._window, self._window_bytes = window, window_bytes
        self._workers = _spare_cores(model.module.device.type) if workers is None else workers
        self._eos = _eos_tokens(model.module, model.preprocessor.tokenizer)
        self._pad = _pad_token(model.module, model.preprocessor.tokenizer, self._eos)
        self._context = _context_length(model.module)

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """Yield (index, response) as batches end."""
        model = self._model
        ahead = look_ahead(requests, model.preprocessor, self._workers, self._window, self._window_bytes)
        with _evaluating(model.module):
            for ready in ahead:
                yield from self._failed(ready)
                while batch := self._next_batch(ready):
                    interrupt.check()
                    yield from self._run(batch)
                    if not ready.exhausted:
                        break

    def scores(self, pairs: Iterable[tuple[Request, Sequence[int]]], top: int) -> Iterator[tuple[int, TokenScores]]:
        """Yield (index, log-probabilities of given tokens), one pair at a time."""
        model = self._model
        for index, (request, tokens) in enumerate(pairs):
            try:
                prepared = model.preprocessor.prepare(request)
            except PROMPT_ERRORS as error:
                raise HarnessError(f"these tokens cannot be scored: {error}", "look at the item's image") from error
            with _evaluating(model.module):
                yield index, token_scores(model.module, model.preprocessor.tokenizer, prepared, tokens, top)

    def _failed(self, ready: Ready) -> Iterator[tuple[int, Response]]:
        for index, request, error in ready.take_failed():
            for sample in range(request.generation.n):
                yield index, Response("", finish="error", error=error, sample_index=sample)

    def _next_batch(self, ready: Ready) -> list[Row]:
        """Rows of the oldest waiting prompt and of those nearest to it in length, within the token budget."""
        if not ready.items:
            return []
        oldest = ready.items[0]
        kind = sampling_key(oldest.request.generation)
        fitting = [item for item in ready.items if sampling_key(item.request.generation) == kind]
        fitting.sort(key=lambda item: abs(item.prepared.length - oldest.prepared.length))
        rows: list[Row] = []
        longest, taken = 0, []
        for item in fitting:
            generation = item.request.generation
            cost = item.prepared.length + min(generation.max_new_tokens, NEW_TOKENS_COUNTED)
            if rows and max(longest, cost) * (len(rows) + generation.n) > self._model.batch_tokens:
                break
            longest = max(longest, cost)
            rows += [self._row(item, sample) for sample in range(generation.n)]
            taken.append(item)
        ready.take(taken)
        return rows

    def _row(self, item: Item, sample: int) -> Row:
        settings, length = item.request.generation, item.prepared.length
        row = Row(item.index, sample, item.prepared, settings, min(settings.max_new_tokens, self._context - length))
        if row.limit < 1:
            row.finish, row.error = "error", f"the prompt has {length} tokens, but the model reads {self._context}"
        if self._model.watch is not None and sample == 0:
            self._model.watch(item.index, self._seen(row))
        return row

    def _seen(self, row: Row) -> Seen:
        grid, pixels = pictures([row.prepared.features])
        settings = decoding(row.generation, row.limit, eos=sorted(self._eos))
        return Seen(tuple(row.prepared.input_ids.tolist()), grid, pixels, settings)

    def _run(self, rows: Sequence[Row]) -> Iterator[tuple[int, Response]]:
        """Decode rows; a batch that fails is halved until the guilty row is alone, and finished rows are kept."""
        yield from ((row.index, _response(row)) for row in rows if row.finish)
        waiting = [[row for row in rows if not row.finish]]
        while waiting:
            batch = waiting.pop()
            failure = self._decode(batch) if batch else None
            left = [row for row in batch if not row.finish]
            if failure is not None and len(left) == 1:
                left[0].finish, left[0].error = "error", _describe(failure, left[0])
                left = []
            yield from ((row.index, _response(row)) for row in batch if row.finish)
            if left:
                self._make_room(failure, batch)
                for row in left:
                    row.restart()
                half = (len(left) + 1) // 2
                waiting += [left[half:], left[:half]]

    def _decode(self, batch: Sequence[Row]) -> Exception | None:
        try:
            decode(self._model.module, self._model.preprocessor.tokenizer, batch, self._eos, self._pad)
        # A forward that fails for one prompt (image tokens that do not match, memory) must not end the others.
        except (RuntimeError, ValueError, IndexError, MemoryError) as error:
            return error.with_traceback(None)  # the traceback would keep the batch's tensors alive
        return None

    def _make_room(self, failure: Exception | None, batch: Sequence[Row]) -> None:
        if not _is_out_of_memory(failure):
            return
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        longest = max(row.prepared.length + min(row.limit, NEW_TOKENS_COUNTED) for row in batch)
        model = self._model
        model.batch_tokens = max(longest, min(model.batch_tokens, longest * len(batch)) // 2)
        log.warning(
            "%s: out of memory with %d rows; batches now hold %d tokens", model.name, len(batch), model.batch_tokens
        )


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Eval mode for the time of the generation: a stage is evaluated between two training steps."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def _response(row: Row) -> Response:
    return Response(
        text=row.text,
        finish=row.finish,
        token_ids=tuple(row.token_ids),
        logprobs=tuple(row.logprobs),
        prompt_tokens=row.prepared.length,
        error=row.error,
        sample_index=row.sample,
    )


def _is_out_of_memory(error: Exception | None) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _describe(error: Exception, row: Row) -> str:
    if _is_out_of_memory(error):
        return f"out of memory with this prompt alone ({row.prepared.length} tokens, {row.limit} new)"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _eos_tokens(module: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a turn: of the generation config, the text config and the tokenizer."""
    found: set[int] = set()
    for value in (getattr(module.generation_config, "eos_token_id", None), tokenizer.eos_token_id):
        found.update([value] if isinstance(value, int) else value or [])
    if not found:
        raise HarnessError(
            "the checkpoint names no end-of-sequence token, so every answer would run to its limit",
            "set eos_token_id in generation_config.json",
        )
    return frozenset(found)


def _pad_token(module: Any, tokenizer: Any, eos: frozenset[int]) -> int:
    """A token for masked positions; any will do, since they are never attended to, but it must not be an image's."""
    for value in (tokenizer.pad_token_id, getattr(module.generation_config, "pad_token_id", None)):
        if isinstance(value, int):
            return value
    return min(eos)


def _spare_cores(device: str) -> int:
    """Threads that prepare prompts: on a graphics card at least one; on one core, none gains anything."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0 if device == "cpu" else 1, min(8, cores - 1))


def _context_length(module: Any) -> int:
    text = module.config.get_text_config()
    return int(getattr(text, "max_position_embeddings", None) or 1 << 30)
