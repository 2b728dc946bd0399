"""Which readings a protocol tried on a response, in order, and what each made of it.

Watched are the functions of harness/scoring that take text, whatever takes the response and returns a verdict (a rule
that a task or a protocol writes itself), what the judge was asked and answered, and random picks.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, NamedTuple

from harness.api import Ask, Judge, Pick, Response, Verdict

_RULES = "harness.scoring."
#: Modules there that ask, count or run rules, but read no response.
_NO_READING = frozenset(
    f"{_RULES}{name}"
    for name in ("score", "verdicts", "aggregate", "circular", "prompts", "match_prompts", "mathvista_prompts",
                 "vlmevalkit_prompts", "extractor_audit", "reasoning", "tried")
)  # fmt: skip
#: Functions of text in other modules there that write prompts.
_PROMPTS = frozenset({"graded_row", "grading_prompt", "official_tries"})
_SHOWN = 80  # characters of what a reading returned


class Tried(NamedTuple):
    """A reading, or a step that stands in for one, and what came of it."""

    rule: str
    returned: str


@contextmanager
def watching() -> Iterator[list[Tried]]:
    """Collect the readings that are tried while the block runs (one thread; by the interpreter's profile hook).

    Repeats of one call are listed once.
    """
    tried: list[Tried] = []

    def hook(frame: FrameType, event: str, value: Any) -> None:
        if event != "return" or (step := _step(frame, value)) is None or step in tried:
            return
        # A rule that hands on another's verdict adds nothing.
        if not (isinstance(value, Verdict) and tried and tried[-1].returned == step.returned):
            tried.append(step)

    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        yield tried
    finally:
        sys.setprofile(before)


class Heard:
    """A judge whose answers are listed among the readings."""

    def __init__(self, judge: Judge, tried: list[Tried]) -> None:
        self.name, self.recorded = judge.name, bool(getattr(judge, "recorded", False))
        self._judge, self._tried = judge, tried

    def answer(self, asks: Sequence[Ask]) -> Sequence[str | Exception | None]:
        """The judge's own answers."""
        answers = self._judge.answer(asks)
        for ask, answer in zip(asks, answers, strict=True):
            said = "no rule of its own decides" if answer is None else repr(answer)
            self._tried.append(Tried(f"judge {self.name}, asked to {ask.purpose},", said[:_SHOWN]))
        return answers


def _step(frame: FrameType, value: Any) -> Tried | None:
    """What a call that ends (or a rule that yields) adds to the list."""
    if isinstance(value, Pick):
        return Tried("random pick", f"one of {', '.join(value.options)}")
    name = frame.f_code.co_qualname.replace(".<locals>", "")
    if isinstance(value, Verdict) and any(isinstance(given, Response) for given in frame.f_locals.values()):
        if name.startswith("_") or frame.f_globals.get("__name__") in _NO_READING:
            return None
        return Tried(name, f"{value.state} {value.extracted!r} by {value.rule or 'no rule'}"[:_SHOWN])
    return Tried(name, repr(value)[:_SHOWN]) if _is_reading(frame) else None


def _is_reading(frame: FrameType) -> bool:
    module, code = frame.f_globals.get("__name__", ""), frame.f_code
    if not module.startswith(_RULES) or module in _NO_READING or code.co_flags & inspect.CO_GENERATOR:
        return False
    return not code.co_name.startswith("<") and code.co_name not in _PROMPTS and _takes_text(code, frame)


def _takes_text(code: CodeType, frame: FrameType) -> bool:
    """Whether the first argument is text; a reading may have changed its own copy, but it stays text."""
    return code.co_argcount > 0 and isinstance(frame.f_locals.get(code.co_varnames[0]), str)
