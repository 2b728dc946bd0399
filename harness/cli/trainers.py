"""`harness trainers`: the methods of distillation."""

from __future__ import annotations

from harness import registry
from harness.cli.listing import described, documentation, listing

_EXAMPLES = """\b
Examples:
  harness trainers
  harness trainers show masters
"""


trainers = listing(
    "trainers",
    help="List the training methods, or show one.",
    epilog=_EXAMPLES,
    records=lambda: [described("trainers", name) for name in registry.names("trainers")],
    columns={"name": "trainer", "what": "what"},
    show=lambda name: documentation("trainers", name),
)
