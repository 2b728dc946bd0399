"""A row of the leaderboard, measured or reported, and what its average counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.api import Metrics
from harness.suites import Composite

COLUMNS = ("run", "model", "method", "stage", "protocol", "judge", "data", "fingerprint")


@dataclass(frozen=True)
class Entry:
    """One row: who (the values of COLUMNS), the metrics by benchmark, composites included, and their average.

    `source` says who reported a row that was not measured here; a measured row has none.
    """

    who: Mapping[str, str]
    metrics: Mapping[str, Metrics]
    average: Metrics | None
    source: str = ""


def counted(tasks: Iterable[str], composites: Mapping[str, Composite]) -> list[str]:
    """What an average over the tasks counts: a composite whose parts are all there stands for them, once."""
    names = list(tasks)
    owner = {part: name for name, made in composites.items() if set(made.mean) <= set(names) for part in made.mean}
    return list(dict.fromkeys(owner.get(name, name) for name in names))
