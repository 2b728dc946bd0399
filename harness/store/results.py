"""What a run knows about one (model, task, protocol, judge): its numbers and where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from harness.api import Group, Metrics


class Cell(NamedTuple):
    """The address of one number of a run."""

    model: str
    task: str
    protocol: str
    judge: str


@dataclass(frozen=True, slots=True)
class Result:
    """One number of a run with its provenance.

    `score_without_random` counts items that the protocol answered at random as wrong. `states` counts items by
    State; `inferred` of the `items` were answered by the model now, the rest came from the store. `code` hashes
    the rules, `data_sha256` the items, so that a finished task is known to be finished. `rules` counts items by the
    rule that decided them; `gold_missed` those that scored 0 although the response states the gold. `memory` are the
    bytes that the process (and the GPUs) held at most until then.
    """

    cell: Cell
    metrics: Metrics
    score_without_random: float
    states: Mapping[str, int]
    items: int
    random: int
    fingerprint: str
    edition: str
    data_sha256: str
    code: str
    skipped_rows: int = 0
    inferred: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stage: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, int] = field(default_factory=dict)
    gold_missed: int = 0
    memory: Mapping[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """Items that no model answered (state error)."""
        return self.states.get("error", 0)

    def to_json(self) -> str:
        """The result without its units, which have a table of their own."""
        groups = {f: {k: [g.score, g.n] for k, g in t.items()} for f, t in self.metrics.groups.items()}
        body = {name: getattr(self, name) for name in self.__slots__ if name not in ("cell", "metrics")}
        body["metrics"] = [self.metrics.score, self.metrics.stderr, self.metrics.n, groups]
        return json.dumps(body, ensure_ascii=False)

    @classmethod
    def from_json(cls, cell: Cell, text: str) -> Result:
        """The inverse of `to_json`."""
        body = json.loads(text)
        score, stderr, n, groups = body.pop("metrics")
        tables = {f: {k: Group(*g) for k, g in t.items()} for f, t in groups.items()}
        return cls(cell=cell, metrics=Metrics(score, stderr, n, tables), **body)
