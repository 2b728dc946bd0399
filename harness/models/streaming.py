"""Many requests under way at a time over an asynchronous engine, from code that is not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@contextmanager
def event_loop(name: str) -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own: the caller may have one running already (a notebook)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=name, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_end_tasks(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def stream(
    loop: asyncio.AbstractEventLoop,
    source: Iterable[Asked],
    ask: Callable[[int, Asked], Coroutine[Any, Any, list[Answer]]],
    most: Callable[[], int],
) -> Iterator[tuple[int, Answer]]:
    """Yield (index, answer) as they come; `source` is read no further than `most()` ahead of what was yielded.

    Where the caller stops early, what is under way is cancelled, and has ended when this returns.
    """
    following = enumerate(source)
    pending: dict[Future[list[Answer]], int] = {}
    tasks: set[asyncio.Task[Any]] = set()
    more = True

    async def asked(index: int, request: Asked) -> list[Answer]:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return await ask(index, request)

    async def ended() -> None:
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        while True:
            while more and len(pending) < most():
                taken = next(following, None)
                more = taken is not None
                if taken is not None:
                    pending[asyncio.run_coroutine_threadsafe(asked(*taken), loop)] = taken[0]
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                index = pending.pop(future)
                yield from ((index, answer) for answer in future.result())
    finally:
        for future in pending:
            future.cancel()
        asyncio.run_coroutine_threadsafe(ended(), loop).result()


async def _end_tasks() -> None:
    """End what an engine left running, so that the loop closes in peace."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
