"""Which code scored: a hash of the rules' source, so that a stored score is trusted only while its rules stand."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import harness
from harness.api import Rules, Task

_SHARED = ("scoring", "judge")


def code_fingerprint(task: Task, rules: Rules) -> str:
    """SHA-256 over the shared scoring code and the modules that define this task and its rules."""
    root = Path(harness.__file__).parent
    shared = [path for folder in _SHARED for path in sorted((root / folder).glob("*.py"))]
    functions: list[Callable[..., Any]] = [task.from_tsv, rules.request, rules.score, rules.aggregate]
    functions += [rules.whole] if rules.whole else []
    own = {path for function in functions for path in _sources(function)}
    return _hash(tuple(dict.fromkeys([*shared, *sorted(own)])))


def sample_code(task: Task) -> str:
    """SHA-256 over the code that makes a task's samples from rows."""
    shared = sorted((Path(harness.__file__).parent / "data").glob("*.py"))
    own = {path for function in (task.from_tsv, task.from_hub) for path in _sources(function)}
    return _hash((*shared, *sorted(own)))


def _sources(function: Callable[..., Any]) -> Iterator[Path]:
    """The files of the modules that define a function and those it is made of (what a partial or a closure holds)."""
    parts: list[Any] = []
    if isinstance(function, partial):
        parts = [function.func, *function.args, *function.keywords.values()]
    else:
        file = getattr(sys.modules.get(getattr(function, "__module__", "")), "__file__", None)
        if file:
            yield Path(file)
        parts = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    for part in parts:
        if callable(part):
            yield from _sources(part)


@cache
def _hash(paths: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
