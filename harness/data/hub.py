"""The Hugging Face hub: the only source that reaches the network. The revision is resolved to a commit and recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.api import HarnessError, HubSet
from harness.data.parquet import batch_rows
from harness.data.rows import RawRow

_COMMIT = re.compile(r"[0-9a-f]{40}")
_BATCH_ROWS = 32
_TIMEOUT_S = 30
_REMEDY = (
    "check the network and, for a gated set, `hf auth login`; without network use --data mini, or download "
    "the files once and use --data FOLDER"
)


@dataclass(frozen=True)
class HubSource:
    """The configs of a dataset on the hub at a commit, concatenated in order."""

    hub: HubSet
    commit: str

    @classmethod
    def of(cls, hub: HubSet) -> HubSource:
        """Resolve the revision to a commit; a revision that is one needs no network."""
        return cls(hub, hub.revision if _COMMIT.fullmatch(hub.revision) else _resolve(hub))

    @property
    def published(self) -> int:
        """Rows of the whole set."""
        return self.hub.rows

    @property
    def key(self) -> str:
        """Repository, commit, configs and split."""
        return f"hub {self.hub.repo}@{self.commit} {self.hub.configs} {self.hub.split}"

    @property
    def label(self) -> str:
        """Repository and commit."""
        return f"hub {self.hub.repo}@{self.commit}"

    def files(self) -> list[Path]:
        """None: a commit never changes."""
        return []

    def rows(self) -> Iterator[RawRow]:
        """Every row; `index` is the row's number over all configs, from 0, where the set has no such column."""
        import datasets
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the HTTP library it uses

        first = 0
        for config in self.hub.configs:
            try:
                loaded = datasets.load_dataset(
                    self.hub.repo, None if config == "default" else config, split=self.hub.split, revision=self.commit
                )
            except (OSError, ValueError, HTTPError) as error:
                raise _failed(self.hub, config, error) from error
            number = 0
            for batch in loaded.with_format("arrow").iter(batch_size=_BATCH_ROWS):
                for raw in batch_rows(batch, f"{self.label} {config}", None, number, first):
                    number += 1
                    yield raw
            first += number

    def whole(self, rows: int) -> None:
        """The commit is the checksum."""


def _resolve(hub: HubSet) -> str:
    import huggingface_hub
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the HTTP library it uses

    try:
        found = huggingface_hub.HfApi().dataset_info(hub.repo, revision=hub.revision, timeout=_TIMEOUT_S).sha
    except (OSError, ValueError, HTTPError) as error:
        raise _failed(hub, hub.revision, error) from error
    if not found:
        raise HarnessError(f"the hub states no commit for {hub.repo}@{hub.revision}", "pin a revision")
    return str(found)


def _failed(hub: HubSet, what: str, error: Exception) -> HarnessError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return HarnessError(f"cannot load {hub.repo} ({what}) from the hub: {lines[0][:300]}", _REMEDY)
