"""`harness suites`: named lists of benchmarks."""

from __future__ import annotations

from typing import Any

from harness.cli.listing import listing

_EXAMPLES = """\b
Examples:
  harness suites
  harness suites show paper
"""


def _records() -> list[dict[str, Any]]:
    from harness.suites import load_suites

    suites = load_suites()
    return [
        {
            "name": name,
            "title": suite.title,
            "tasks": len(suites.resolve(name).tasks),
            "limit": suite.limit,
            "members": list(suite.tasks),
        }
        for name, suite in suites.suites.items()
    ]


def _show(name: str) -> dict[str, Any]:
    from harness.suites import load_suites

    suites = load_suites()
    chosen = suites.resolve(name)
    return {
        "name": name,
        "title": suites.suites[name].title if name in suites.suites else "",
        "items a task": chosen.limit or "all",
        "tasks": list(chosen.tasks),
        "averaged columns": {title.title: " + ".join(title.mean) for title in chosen.composites.values()},
    }


suites = listing(
    "suites",
    help="List the suites of benchmarks, or show one.",
    epilog=_EXAMPLES,
    records=_records,
    columns={"name": "suite", "title": "what", "tasks": "tasks", "limit": "items a task", "members": "members"},
    show=_show,
    numbers=("tasks", "limit"),
)
