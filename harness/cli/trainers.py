"""`harness trainers`: the methods of distillation."""

from __future__ import annotations

from typing import Any

from harness import registry
from harness.cli.listing import described, listing

_EXAMPLES = """\b
Examples:
  harness trainers
  harness trainers show masters
"""


def _show(name: str) -> dict[str, Any]:
    return {"name": name, "about": (registry.load("trainers", name).__doc__ or "").strip()}


trainers = listing(
    "trainers",
    help="List the training methods, or show one.",
    epilog=_EXAMPLES,
    records=lambda: [described("trainers", name) for name in registry.names("trainers")],
    columns={"name": "trainer", "what": "what"},
    show=_show,
)
