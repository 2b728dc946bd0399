"""`harness judges`: what a judge decides where a rule cannot."""

from __future__ import annotations

from typing import Any

from harness import registry
from harness.cli.listing import described, listing

_EXAMPLES = """\b
Examples:
  harness judges
  harness judges show rule
"""


def _show(name: str) -> dict[str, Any]:
    return {"name": name, "about": (registry.load("judges", name).__doc__ or "").strip()}


judges = listing(
    "judges",
    help="List the judges, or show one.",
    epilog=_EXAMPLES,
    records=lambda: [described("judges", name) for name in registry.names("judges")],
    columns={"name": "judge", "what": "what"},
    show=_show,
)
