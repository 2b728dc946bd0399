"""`harness judges`: what a judge decides where a rule cannot."""

from __future__ import annotations

from harness import registry
from harness.cli.listing import described, documentation, listing

_EXAMPLES = """\b
Examples:
  harness judges
  harness judges show rule
"""


judges = listing(
    "judges",
    help="List the judges, or show one.",
    epilog=_EXAMPLES,
    records=lambda: [described("judges", name) for name in registry.names("judges")],
    columns={"name": "judge", "what": "what"},
    show=lambda name: documentation("judges", name),
)
