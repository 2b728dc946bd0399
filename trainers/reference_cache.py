"""The reference policy's log-probabilities of stored responses, kept on disk: the KL term then needs no second model.

Known by content: the reference's weights and precision, question and response tokens. Float32, so nothing is lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from trainers.divergence import token_signals
from trainers.groups import Group
from trainers.packing import Batch, response_states
from trainers.sharding import head_of
from trainers.shards import Shards
from trainers.teacher_cache import response_keys

_SCHEMA = pa.schema([("key", pa.string()), ("logp", pa.list_(pa.float32()))])


@torch.no_grad()
def reference_logp(reference: Any, batch: Batch, vocabulary: int) -> Tensor:
    """The reference's log-probability of each response token [N]."""
    states = response_states(reference, batch)
    return token_signals(states, head_of(reference), batch.targets, vocabulary).logp


class ReferenceCache:
    """Log-probabilities under one reference. Several processes may fill it together, each as its own `writer`."""

    def __init__(self, folder: Path, reference: str, vocabulary: int, writer: int = 0) -> None:
        self._vocabulary = vocabulary
        name = hashlib.sha256(f"{reference} {vocabulary}".encode()).hexdigest()[:20]
        self._kept = Shards(folder / name, _SCHEMA, writer)
        self._added: set[str] = set()

    def refresh(self) -> None:
        """See what other processes have added."""
        self._kept.refresh()
        self._added.clear()

    def missing(self, groups: Sequence[Group]) -> list[Group]:
        """Groups with a response that was not kept at the last `refresh`, which several processes can agree on."""
        return [g for g in groups if any(k not in self._kept or k in self._added for k in response_keys([g]))]

    def add(self, reference: Any, batch: Batch, groups: Sequence[Group], keep: bool = True) -> None:
        """Run the reference on a batch of groups and keep its log-probabilities (`keep` False: only run)."""
        logp = reference_logp(reference, batch, self._vocabulary)
        if keep:
            of_each = dict(zip(response_keys(groups), batch.split(logp.float().cpu()), strict=True))
            self._kept.append([{"key": key, "logp": values.tolist()} for key, values in of_each.items()])
            self._added.update(of_each)

    def logp(self, batch: Batch, groups: Sequence[Group]) -> Tensor:
        """What is kept of a batch's tokens [N], on its device."""
        keys = response_keys(groups)
        rows = self._kept.rows(dict.fromkeys(keys))
        return torch.tensor([value for key in keys for value in rows[key]["logp"]], device=batch.targets.device)
