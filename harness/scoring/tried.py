"""Which readings a protocol tried on a response, in order, and what each made of it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, NamedTuple

_RULES = "harness.scoring."
#: Modules there that ask, count or run rules, but read no response.
_NO_READING = frozenset(
    f"{_RULES}{name}"
    for name in ("score", "verdicts", "aggregate", "circular", "prompts", "match_prompts", "mathvista_prompts",
                 "vlmevalkit_prompts", "extractor_audit", "reasoning", "tried")
)  # fmt: skip
_SHOWN = 80  # characters of what a reading returned


class Tried(NamedTuple):
    """A function of harness/scoring that read the response, and what it returned."""

    rule: str
    returned: str


@contextmanager
def watching() -> Iterator[list[Tried]]:
    """Collect the readings that are tried while the block runs (one thread; by the interpreter's profile hook).

    A reading is a function of harness/scoring that takes text; repeats of one call are listed once.
    """
    tried: list[Tried] = []

    def hook(frame: FrameType, event: str, value: Any) -> None:
        if event == "return" and _is_reading(frame):
            step = Tried(frame.f_code.co_qualname.replace(".<locals>", ""), repr(value)[:_SHOWN])
            if step not in tried:
                tried.append(step)

    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        yield tried
    finally:
        sys.setprofile(before)


def _is_reading(frame: FrameType) -> bool:
    module, code = frame.f_globals.get("__name__", ""), frame.f_code
    if not module.startswith(_RULES) or module in _NO_READING or code.co_flags & inspect.CO_GENERATOR:
        return False
    return not code.co_name.startswith("<") and _takes_text(code, frame)


def _takes_text(code: CodeType, frame: FrameType) -> bool:
    """Whether the first argument is text; a reading may have changed its own copy, but it stays text."""
    return code.co_argcount > 0 and isinstance(frame.f_locals.get(code.co_varnames[0]), str)
