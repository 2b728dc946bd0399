"""A row of the leaderboard, measured or reported, and what its average counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.api import Metrics

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
