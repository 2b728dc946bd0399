"""Prepare requests in worker threads while the model decodes, never more than a bounded window of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from harness.api import Request
from harness.models.preprocess import Prepared, Preprocessor
from harness.models.prompt_errors import PROMPT_ERRORS


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A request that is ready for a batch."""

    index: int
    request: Request
    prepared: Prepared


@dataclass(slots=True)
class Ready:
    """What waits for the model, oldest first; `exhausted` once nothing more will come."""

    items: list[Item] = field(default_factory=list)
    failed: list[tuple[int, Request, str]] = field(default_factory=list)
    exhausted: bool = False

    def take(self, items: Sequence[Item]) -> None:
        """Remove items that go into a batch."""
        gone = {item.index for item in items}
        self.items = [item for item in self.items if item.index not in gone]

    def take_failed(self) -> list[tuple[int, Request, str]]:
        """(index, request, error) of the requests that could not be prepared, once each."""
        failed, self.failed = self.failed, []
        return failed


def look_ahead(
    requests: Iterable[Request], preprocessor: Preprocessor, workers: int, window: int, window_bytes: int
) -> Iterator[Ready]:
    """Yield the same Ready again and again, refilled; it ends when everything was prepared and handed over.

    At most `window` requests, and about `window_bytes` of prepared tensors, wait at a time, however many come. Half
    the window must be ready before the model starts, so that batches can be formed of prompts of like length.
    Without `workers` the caller's thread prepares them between batches.
    """
    source = enumerate(requests)
    ready = Ready()
    pending: deque[tuple[int, Request, Future[Prepared]]] = deque()
    size = 0  # of a prepared prompt, the largest so far
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prepare") if workers else _AtOnce()
    try:
        more = True
        while True:
            room = min(window, max(1, window_bytes // size) if size else max(1, workers) * 2)
            following = list(islice(source, max(0, room - len(pending) - len(ready.items)))) if more else []
            more = more and len(pending) + len(ready.items) + len(following) >= room
            preprocessor.expect(request for _, request in following)
            for index, request in following:
                pending.append((index, request, pool.submit(preprocessor.prepare, request)))
            unmeasured = size == 0
            while pending and (pending[0][2].done() or len(ready.items) < (room + 1) // 2):
                size = max(size, _collect(ready, *pending.popleft()))
            if unmeasured and size and more:
                continue  # the window's room is known now: fill it before the first batch
            ready.exhausted = not (more or pending)
            yield ready
            if ready.exhausted:
                return
    finally:
        pool.shutdown(cancel_futures=True)


class _AtOnce(Executor):
    """Does the work when it is submitted: two threads that take turns on one core are slower than one."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except PROMPT_ERRORS as error:
            future.set_exception(error)
        return future


def _collect(ready: Ready, index: int, request: Request, future: Future[Prepared]) -> int:
    """Wait for a request and put it where it belongs; returns its bytes."""
    try:
        prepared = future.result()
    except PROMPT_ERRORS as error:
        lines = str(error).strip().splitlines()
        ready.failed.append((index, request, f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__))
        return 0
    ready.items.append(Item(index, request, prepared))
    return prepared.nbytes
