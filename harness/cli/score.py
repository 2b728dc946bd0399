"""`harness score`: score a run's stored responses under other protocols."""

from __future__ import annotations

from pathlib import Path

import click

_EXAMPLES = """\b
Examples:
  harness score runs/full-mini --protocol all
  harness score runs/full-mini --protocol all --flips
  harness score imported --protocol lmms-eval@0.7.2,official --judge openai:gpt-4o-mini
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--protocol", default="official", show_default=True, help="Protocols separated by commas, or all.")
@click.option("--judge", default="rule", show_default=True, help="Judge where a rule cannot decide.")
@click.option("--flips", is_flag=True, help="List the items on which the protocols disagree, with each rule.")
@click.option("--reasoning-tags", default="think,analysis", show_default=True, help="Blocks cut before scoring.")
def score(run: Path, protocol: str, judge: str, flips: bool, reasoning_tags: str) -> None:
    """Score stored responses again, under one protocol or all; no model is asked."""
    from rich.console import Console

    from harness import registry
    from harness.memory import seldom_collecting
    from harness.report.protocols import print_flips, print_protocols
    from harness.rescore import flips as find_flips
    from harness.rescore import rescore
    from harness.scoring.reasoning import parse_tags
    from harness.store import Store
    from harness.store.frames import export

    protocols = registry.protocols() if protocol == "all" else protocol.split(",")
    console = Console()
    with seldom_collecting(), Store(run) as store:
        results = rescore(
            store, protocols, judge=judge, reasoning_tags=parse_tags(reasoning_tags), skip_missing=protocol == "all"
        )
        export(store)
        print_protocols(results, console)
        if flips:
            print_flips(find_flips(store, results), console)
