"""Ctrl-C and SIGTERM: work that was begun is finished and stored first; a second one stops at once.

The command line listens. Where a batch or a step under way is worth waiting for, the code is inside `finishing` and
asks `check` (or ends its stream of requests with `until_asked`) between two of them. Everywhere else a first signal
stops at once, since what counts is stored already. Used as a library, a signal is the plain KeyboardInterrupt.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_asked = 0  # the signal that came while something was being finished
_depth = 0


class Stopped(KeyboardInterrupt):
    """Somebody asked the process to stop; `exit_code` is what a shell reports for that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.exit_code = 128 + number


@contextmanager
def listening() -> Iterator[None]:
    """Take both signals, in the main thread; one that the process was told to ignore (nohup) stays ignored."""
    global _asked
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in taken:
            signal.signal(number, _heard)
        yield
    finally:
        _asked = 0
        for number in taken:
            signal.signal(number, before[number])


def _heard(number: int, frame: FrameType | None) -> None:
    global _asked
    if not _depth or _asked:
        raise Stopped(number)
    _asked = number
    # Not through sys.stderr: the handler may have interrupted a write to it.
    os.write(2, b"\nstopping when the batch under way is stored; again to stop at once\n")


@contextmanager
def finishing() -> Iterator[None]:
    """Inside, a first signal waits for `check`; one that came meanwhile is raised at the end."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
    check()


def asked() -> bool:
    """Whether a signal waits."""
    return _asked != 0


def check() -> None:
    """Raise the Stopped of a signal that waits."""
    if _asked:
        raise Stopped(_asked)


def until_asked(source: Iterable[T]) -> Iterator[T]:
    """The elements, up to a signal: a model then finishes what it has and asks for no more."""
    for element in source:
        if _asked:
            return
        yield element
