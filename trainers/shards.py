"""Rows on disk by content key: a folder of parquet files, each written whole, so that a kill loses at most one."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.api import HarnessError

_SUFFIX = ".parquet"
_TABLES_KEPT = 16


class Shards:
    """Rows known by the column `key`. Several processes may add to one folder; each names its files by `writer`."""

    def __init__(self, folder: Path, schema: pa.Schema, writer: int = 0) -> None:
        self.folder = folder
        self._schema = schema
        self._writer = writer
        self._where: dict[str, tuple[Path, int]] = {}
        self._files: set[Path] = set()
        self._tables: OrderedDict[Path, pa.Table] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)
        self.refresh()

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def __len__(self) -> int:
        return len(self._where)

    def refresh(self) -> None:
        """See what other processes have added."""
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            if path not in self._files:
                self._note(path, _table(path, ["key"]))

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows as one file: it is there whole or not at all."""
        if not rows:
            return
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=self._schema)
        path = self.folder / f"part-{self._writer:03d}-{len(self._files):06d}{_SUFFIX}"
        half = path.with_suffix(".half")
        pq.write_table(table, half, compression="zstd", write_page_checksum=True)
        with half.open("rb") as file:
            os.fsync(file.fileno())
        half.replace(path)
        self._note(path, table)

    def rows(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The rows of the keys that have one, file by file."""
        wanted: dict[Path, list[str]] = {}
        for key in keys:
            if key in self._where:
                wanted.setdefault(self._where[key][0], []).append(key)
        found: dict[str, dict[str, Any]] = {}
        for path, here in wanted.items():
            rows = self._table(path).take([self._where[key][1] for key in here]).to_pylist()
            found.update(zip(here, rows, strict=True))
        return found

    def _table(self, path: Path) -> pa.Table:
        if path not in self._tables:
            self._tables[path] = _table(path, None)
            if len(self._tables) > _TABLES_KEPT:
                self._tables.popitem(last=False)
        return self._tables[path]

    def _note(self, path: Path, table: pa.Table) -> None:
        self._files.add(path)
        for place, key in enumerate(table["key"].to_pylist()):
            self._where.setdefault(key, (path, place))


def _table(path: Path, columns: list[str] | None) -> pa.Table:
    try:
        # By checksums: a flipped bit inside a compressed text would else be read as another text.
        return pq.read_table(path, columns=columns, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise HarnessError(
            f"{path} cannot be read: {error}", "delete this file; what it held is made again on the next run"
        ) from error
