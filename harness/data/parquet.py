"""Hugging Face parquet: image columns are struct{bytes, path}, lists of it, or plain binary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api import HarnessError, HubSet
from harness.data.images import inside
from harness.data.rows import RawRow, SameAs

_BATCH_ROWS = 32
_SPLIT_NAME = re.compile(r"(train|test|testmini|val|validation|dev)[-.]")


@dataclass(frozen=True)
class ParquetSource:
    """Parquet files, concatenated in order."""

    paths: tuple[Path, ...]
    label: str
    published: int = 0

    @property
    def key(self) -> str:
        """The files' places."""
        return "parquet " + " ".join(str(path.resolve()) for path in self.paths)

    def files(self) -> list[Path]:
        """The parquet files."""
        return list(self.paths)

    def rows(self) -> Iterator[RawRow]:
        """Every row; `index` is the row's number over all files, from 0, where the files have no such column."""
        import pyarrow as pa
        from pyarrow import parquet

        first = 0
        for path in self.paths:
            number = 0
            try:
                with path.open("rb") as file:
                    for batch in parquet.ParquetFile(file).iter_batches(batch_size=_BATCH_ROWS):
                        for raw in batch_rows(batch, str(path), path.parent, number, first):
                            number += 1
                            yield raw
            except (pa.ArrowException, OSError) as error:
                raise HarnessError(
                    f"{path}: row {number + 1} or one of the next cannot be read as parquet: {error}",
                    "download the file again",
                ) from None
            first += number

    def whole(self, rows: int) -> None:
        """Parquet files publish no checksum; their number of rows stands in the edition."""


def batch_rows(batch: Any, file: str, folder: Path | None, number: int, first: int) -> Iterator[RawRow]:
    """The rows of a pyarrow batch that follows `number` rows of its file and `first` rows of earlier files."""
    image_columns = {field.name for field in batch.schema if _is_image(field.type)}
    for place, row in enumerate(batch.to_pylist(), number):
        values = {"index": str(first + place)}
        values |= {name: value for name, value in row.items() if name not in image_columns}
        images: dict[str, list[bytes | SameAs]] = {}
        try:
            cells = {name: list(_cells(row[name], folder)) for name in sorted(image_columns)}
            for name, found in cells.items():
                images[name] = [one.read_bytes() if isinstance(one, Path) else one for one in found]
        except (ValueError, OSError) as error:
            yield RawRow(file, place + 1, values, problem=str(error))
        else:
            paths = tuple(one for found in cells.values() for one in found if isinstance(one, Path))
            yield RawRow(file, place + 1, values, images, paths)


def _is_image(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_image(kind.value_type)
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _cells(value: Any, folder: Path | None) -> Iterator[bytes | Path]:
    """The encoded images of a cell, or the files that it names: none for null, several for a list."""
    if isinstance(value, list):
        for element in value:
            yield from _cells(element, folder)
    elif isinstance(value, bytes):
        yield value
    elif value is not None and value["bytes"] is not None:
        yield value["bytes"]
    elif value is not None and value.get("path"):
        if folder is None:
            raise ValueError(f"the image {value['path']!r} is not inside the parquet file")
        yield inside(folder, value["path"])


def parquet_files(root: Path, hub: HubSet) -> tuple[list[Path], list[str]]:
    """(files of the task's configs and split below `root`, the patterns that were looked for)."""
    owner, _, name = hub.repo.rpartition("/")
    looked: list[str] = []
    for base in dict.fromkeys((root / name, root / owner / name, *([root] if root.name == name else []))):
        found: list[Path] = []
        for config in hub.configs:
            folders = [base / config] if config != "default" else [base / "data", base / "default", base]
            if len(hub.configs) == 1:
                folders += [base / "data", base]
            looked += [f"{folder}/{hub.split}-*.parquet" for folder in folders]
            shards = next(filter(None, (_shards(folder, hub.split) for folder in dict.fromkeys(folders))), [])
            found += shards
            if found and not shards:
                raise HarnessError(
                    f"{base} has no {hub.split} parquet files of the config {config!r}, which {hub.repo} consists of",
                    f"download the whole of {hub.repo}, or use --data hub",
                )
        if found:
            return found, looked
    return [], looked


def _shards(folder: Path, split: str) -> list[Path]:
    """The parquet files of the split; all files of a folder whose names speak of no split at all."""
    files = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    named = [path for path in files if path.name.startswith(f"{split}-") or path.stem == split]
    return named or ([] if any(_SPLIT_NAME.match(path.name) for path in files) else files)
