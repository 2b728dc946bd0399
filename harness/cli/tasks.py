"""`harness tasks`: the installed benchmarks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from harness import registry
from harness.api import OFFICIAL, HarnessError, Sample, Task
from harness.cli.listing import listing

_EXAMPLES = """\b
Examples:
  harness tasks
  harness tasks show mmmu
  harness tasks --json
"""


def _records() -> list[dict[str, Any]]:
    known = _protocols()
    return [_line(name, known) for name in registry.names("tasks")]


def _protocols() -> dict[str, Collection[str]]:
    """Protocol -> tasks it has rules for; one that cannot be loaded has none (`harness protocols` says why)."""
    found: dict[str, Collection[str]] = {}
    for name in registry.names("protocols"):
        with suppress(HarnessError):
            found[name] = registry.load("protocols", name).keys()
    return found


def _line(name: str, protocols: Mapping[str, Collection[str]]) -> dict[str, Any]:
    try:
        task = registry.task(name)
    except HarnessError as error:  # a broken plug-in hides no other
        return {"name": name, "error": error.message}
    return {
        "name": name,
        "title": task.title,
        # The larger of the two files holds rows of other splits, too.
        "items": min((n for n in (task.tsv.rows, task.hub.rows) if n), default=None),
        "mini": bool(task.mini),
        "categories": list(task.facets),
        "licence": task.licence,
        "protocols": [*task.rules, *(p for p, tasks in protocols.items() if name in tasks and p not in task.rules)],
    }


def _show(name: str) -> dict[str, Any]:
    task = registry.task(name)
    record = _line(name, _protocols())
    record["description"] = task.description
    record["tsv"] = {"file": f"{task.tsv.name}.tsv", "md5": task.tsv.md5 or None, "rows": task.tsv.rows or None}
    record["hub"] = {
        "dataset": task.hub.repo, "configs": list(task.hub.configs), "split": task.hub.split,
        "revision": task.hub.revision, "rows": task.hub.rows or None,
    }  # fmt: skip
    sample = _mini_sample(task)
    for protocol in record["protocols"]:
        rules = registry.rules(task, protocol)
        record[f"rules {protocol}"] = rules.source
        if sample:
            record[f"settings {protocol}"] = {k: v for k, v in asdict(rules.request(sample).generation).items() if v}
    if sample:
        record["prompt (mini)"] = registry.rules(task, OFFICIAL).request(sample).text
        record["answer (mini)"] = sample.answer
    return record


def _mini_sample(task: Task) -> Sample | None:
    """The first drawn item, to show what a prompt looks like; None for a task without a mini edition."""
    if not task.mini:
        return None
    from harness.data import open_dataset

    return open_dataset(task, "mini")[0]


tasks = listing(
    "tasks",
    help="List the benchmarks, or show one.",
    epilog=_EXAMPLES,
    records=_records,
    columns={"name": "task", "title": "benchmark", "items": "items", "mini": "mini", "licence": "licence"},
    show=_show,
    numbers=("items",),
)
