"""A data set that is read from disk sample by sample."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from harness.api import HarnessError, Row, Sample
from harness.data.blob import ImageReader
from harness.data.convert import ROWS, Manifest, assembled, finished
from harness.data.rows import Build, edition


class Dataset(Sequence[Sample]):
    """The samples of a task in the order of their source. Samples are built, and images read, when they are asked for.

    Attributes: `task` (its name), `edition` (what a table says of the source), `sha256` (content of these samples'
    rows and images), `skipped` and `skipped_reasons` (bad rows that were left out), `path` (the folder it lies in).
    """

    def __init__(self, path: Path, manifest: Manifest, task: str, build: Build, limit: int | None = None) -> None:
        import pyarrow as pa

        rows = pa.ipc.open_file(pa.memory_map(str(path / ROWS))).read_all()
        self._rows = rows if limit is None else rows.slice(0, limit)
        self._images = ImageReader(path)
        self._records = self._rows["record"]
        self._build = build
        self.task = task
        self.path = path
        self.skipped = len(manifest.bad)
        self.skipped_reasons = tuple(map(str, manifest.bad))
        used = manifest.rows - self.skipped if len(self) == rows.num_rows else len(self)
        self.edition = edition(manifest.label, used, manifest.published or manifest.rows)
        content = hashlib.sha256()
        for chunk in self._rows["sha256"].chunks:
            content.update(b"".join(chunk.to_pylist()))
        self.sha256 = content.hexdigest()

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def row(self, index: int) -> Row:
        """The row behind the sample: every column of the source, also those that the task does not read."""
        return assembled(json.loads(self._records[range(len(self))[index]].as_py()), self._images)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        place = range(len(self))[index]
        try:
            sample = self._build(self.row(place))
        except ValueError as error:
            raise self._outdated(place, str(error)) from error
        if sample is None:
            raise self._outdated(place, "it is no item of the task")
        return finished(sample, self._rows["number"][place].as_py())

    def _outdated(self, place: int, reason: str) -> HarnessError:
        return HarnessError(
            f"{self.edition}: row {place + 1} was a sample of {self.task} when it was prepared, and now: {reason}",
            f"the task's code has changed; delete {self.path}, it is made again",
        )
