"""Finds plug-ins by entry point; nothing is imported before it is used."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from harness.api import OFFICIAL, HarnessError, Rules, Task

KINDS = (
    "tasks", "protocols", "models", "judges", "trainers", "checkpoints", "suites", "commands", "recipes", "bridges",
)  # fmt: skip


@cache
def _entries(kind: str) -> Mapping[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"harness.{kind}"):
        if entry.name in found and found[entry.name].value != entry.value:
            raise HarnessError(
                f"two installed packages register the {kind[:-1]} {entry.name!r}: "
                f"{found[entry.name].value} and {entry.value}",
                "uninstall one of them, or rename its entry point",
            )
        found[entry.name] = entry
    return found


def names(kind: str) -> list[str]:
    """Names of the installed plug-ins of a kind (one of KINDS), in registration order."""
    return list(_entries(kind))


def target(kind: str, name: str) -> str:
    """Where a plug-in is, as "module:attribute"; an unknown name is a HarnessError with the nearest names."""
    return _entry(kind, name).value


def load(kind: str, name: str) -> Any:
    """The plug-in object.

    Raises HarnessError for an unknown name (with the nearest names) and for a plug-in that cannot be imported.
    """
    entry = _entry(kind, name)
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise HarnessError(
            f"the {kind[:-1]} {name!r} ({entry.value}) cannot be loaded: {error}",
            "`harness doctor` says what is missing; --debug shows where it fails",
        ) from error


def _entry(kind: str, name: str) -> EntryPoint:
    entries = _entries(kind)
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise HarnessError(f"no {kind[:-1]} is called {name!r}", f"{hint}`harness {kind}` lists the installed ones")
    return entries[name]


def task(name: str) -> Task:
    """The task of that name; `BRIDGE:NAME` is a task of another framework."""
    bridge, colon, foreign = name.partition(":")
    if colon and bridge in names("bridges"):
        made: Task = load("bridges", bridge)(foreign)
        return made
    found: Task = load("tasks", name)
    return found


def tasks() -> Iterator[Task]:
    """All installed tasks, in registration order."""
    return (task(name) for name in names("tasks"))


def protocols() -> list[str]:
    """Names of all protocols: `official` (each task's own) and those registered by plug-ins."""
    return [OFFICIAL, *names("protocols")]


def rules(of: Task, protocol: str) -> Rules:
    """The rules of a task under a protocol: the task's own, or those of the protocol plug-in.

    A protocol plug-in is a mapping from task name to Rules.
    """
    if protocol in of.rules:
        return of.rules[protocol]
    known: Mapping[str, Rules] = load("protocols", protocol)
    if of.name not in known:
        raise HarnessError(
            f"protocol {protocol!r} has no rules for task {of.name!r}", "leave the task out, or use official"
        )
    return known[of.name]


def covers(protocol: str, of: Task) -> bool:
    """Whether a protocol has rules for a task."""
    return protocol in of.rules or of.name in load("protocols", protocol)
