"""`harness protocols`: whose prompts and rules a score follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import registry
from harness.api import OFFICIAL, HarnessError, Rules
from harness.cli.listing import listing

_EXAMPLES = """\b
Examples:
  harness protocols
  harness protocols show official
"""


def _sources(protocol: str) -> dict[str, str]:
    """Task -> where its rules come from, under a protocol."""
    if protocol == OFFICIAL:
        return {task.name: task.rules[OFFICIAL].source for task in registry.tasks()}
    known: Mapping[str, Rules] = registry.load("protocols", protocol)
    return {task: rules.source for task, rules in known.items()}


def _record(name: str) -> dict[str, Any]:
    try:
        sources = _sources(name)
    except HarnessError as error:  # a broken plug-in hides no other
        return {"name": name, "error": error.message}
    return {"name": name, "tasks": len(sources), "covers": list(sources)}


def _show(name: str) -> dict[str, Any]:
    if name not in registry.protocols():
        raise HarnessError(f"no protocol is called {name!r}", "`harness protocols` lists the installed ones")
    return {"name": name, "rules": _sources(name)}


protocols = listing(
    "protocols",
    help="List the scoring protocols, or show one.",
    epilog=_EXAMPLES,
    records=lambda: [_record(name) for name in registry.protocols()],
    columns={"name": "protocol", "tasks": "tasks", "covers": "which"},
    show=_show,
    numbers=("tasks",),
)
