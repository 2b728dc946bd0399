"""What every data source yields: rows whose images are still encoded, and what the source is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.api import Row, Sample
from harness.data.schema import is_missing

#: Turns a row into a sample, None (the row is no item of the task), or a ValueError with a sentence.
Build = Callable[[Row], Sample | None]


@dataclass(frozen=True, slots=True)
class SameAs:
    """In place of an image: the images of the row with this index."""

    index: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as the source states it. `number` counts the data rows of `file` from 1; `problem` says why it is bad.

    `read` are the image files that the row names.
    """

    file: str
    number: int
    values: Mapping[str, Any]
    images: Mapping[str, list[bytes | SameAs]] = field(default_factory=dict)
    read: tuple[Path, ...] = ()
    problem: str = ""


class Source(Protocol):
    """Where rows come from."""

    @property
    def key(self) -> str:
        """Identifies the source in the cache."""
        ...

    @property
    def label(self) -> str:
        """Names it in tables."""
        ...

    @property
    def published(self) -> int:
        """The number of rows of the whole published set (0: unknown)."""
        ...

    def files(self) -> list[Path]:
        """The local files that decide the rows, beside those that rows name: a change of size or time is seen."""
        ...

    def rows(self) -> Iterator[RawRow]:
        """All rows, in order; a bad row has a `problem`, a file that cannot be read at all is a HarnessError."""
        ...

    def whole(self, rows: int) -> None:
        """Called after the last row with their number: a HarnessError if the file claims to be what it is not."""
        ...


def as_text(value: Any) -> str | None:
    """A cell of the TSV schema: text, or None where nothing is. Lists are written as Python writes them."""
    return None if is_missing(value) else str(value)


def edition(label: str, used: int, of: int) -> str:
    """The name of an edition that shows how much of the set it is: "ChartQA_TEST.tsv (102 of 2500 rows)"."""
    if used == of:
        return label
    return f"{label} ({used} of {of} rows)" if used < of else f"{label} ({used} rows, {of} are published)"
