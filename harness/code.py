"""Which code scored: a hash of the rules' source, so that a stored score is trusted only while its rules stand."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import harness
from harness.api import Rules, Task

_SHARED = ("scoring", "judge")


def code_fingerprint(task: Task, rules: Rules) -> str:
    """SHA-256 over the shared scoring code and the modules that define this task and its rules."""
    root = Path(harness.__file__).parent
    shared = [path for folder in _SHARED for path in sorted((root / folder).glob("*.py"))]
    functions = (task.from_tsv, rules.request, rules.score, rules.aggregate)
    own = {path for function in functions if (path := _source(function)) is not None}
    return _hash(tuple(dict.fromkeys([*shared, *sorted(own)])))


def _source(function: Callable[..., Any]) -> Path | None:
    """The file of the module that defines a function (of what a partial wraps)."""
    module = sys.modules.get(getattr(getattr(function, "func", function), "__module__", ""))
    file = getattr(module, "__file__", None)
    return Path(file) if file else None


@cache
def _hash(paths: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
