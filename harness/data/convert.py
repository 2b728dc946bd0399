"""From a source to the folder that Dataset reads: rows.arrow, images.bin and images.arrow, dataset.json.

First every image is decoded as a check and written once, and the rows are spilled as JSON lines, because a row may
show the image of a later one. Then every row is built into a sample as a check, and written. Memory does not grow with
the images.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.api import HarnessError, Image, Row, Sample
from harness.data.blob import BYTES, INDEX, ImageReader, ImageWriter
from harness.data.rows import Build, RawRow, SameAs, Source

ROWS, MANIFEST = "rows.arrow", "dataset.json"
_BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no sample, and why."""

    file: str
    number: int
    index: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: row {self.number}{f' (index {self.index})' if self.index else ''}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder holds. `files` (path -> size and mtime_ns) decided it; `sizes` are those of its own files.

    `rows` counts the source's rows, good, bad and of other tasks; `published` those of the whole published set.
    """

    key: str
    label: str
    rows: int
    published: int
    bad: tuple[BadRow, ...]
    files: Mapping[str, tuple[int, int]]
    sizes: Mapping[str, int]

    def write(self, folder: Path) -> None:
        """Written last: its existence means that the folder is complete."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Raises OSError or ValueError where there is none."""
        stated = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        bad = tuple(BadRow(**row) for row in stated.pop("bad"))
        files = {name: (size, time) for name, (size, time) in stated.pop("files").items()}
        return cls(bad=bad, files=files, **stated)


def stamp(path: str | Path) -> tuple[int, int]:
    """(size, mtime_ns): what tells an edited file from the one that was read."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def finished(sample: Sample, number: int) -> Sample:
    """The sample with what the task left open: its id (the row's number), its cluster (its first image)."""
    name = str(sample.id) or str(number)
    cluster = sample.cluster or (sample.images[0].sha256 if sample.images else name)
    return replace(sample, id=name, cluster=cluster)


def assembled(record: Mapping[str, Any], images: ImageReader) -> Row:
    """The row that a task sees: values, and a tuple of images under every image column."""
    row: dict[str, Any] = dict(record["values"])
    for column, numbers in record["images"].items():
        row[column] = tuple(images[number] for number in numbers)
    return row


def convert(source: Source, build: Build, code: Path | None, folder: Path) -> Manifest:
    """Write the source into an empty folder; `code` is the file of `build`. HarnessError if it has no row at all."""
    own = [*source.files(), *([code] if code else [])]
    files = {str(path): stamp(path) for path in own}
    spill = folder / "spill.jsonl"
    with ImageWriter(folder) as images:
        bad, total = _spill(source, images, spill, files)
    if not total:
        raise HarnessError(f"{source.label}: there is no data row", _where(source))
    source.whole(total)
    bad += _write_rows(spill, folder, build)
    spill.unlink()
    bad.sort(key=lambda row: (row.file, row.number))
    sizes = {name: (folder / name).stat().st_size for name in (BYTES, INDEX, ROWS)}
    return Manifest(source.key, source.label, total, source.published, tuple(bad), files, sizes)


def _where(source: Source) -> str:
    files = source.files()
    return f"{files[0]} is empty or holds only a header: download it again" if files else "check the source"


def _spill(
    source: Source, images: ImageWriter, path: Path, files: dict[str, tuple[int, int]]
) -> tuple[list[BadRow], int]:
    """Images out, rows to a file of JSON lines; image cells become numbers, or the index that they refer to."""
    bad: list[BadRow] = []
    total = 0
    with path.open("w", encoding="utf-8") as file:
        for raw in source.rows():
            total += 1
            files.update((str(image), stamp(image)) for image in raw.read)
            try:
                if raw.problem:
                    raise ValueError(raw.problem)
                numbers = {
                    column: [{"same_as": one.index} if isinstance(one, SameAs) else images.add(one) for one in cells]
                    for column, cells in raw.images.items()
                }
                record = {"values": _plain(raw), "images": numbers}
            except ValueError as error:
                bad.append(BadRow(raw.file, raw.number, str(raw.values.get("index") or ""), str(error)))
            else:
                file.write(json.dumps([raw.file, raw.number, total - 1, record]) + "\n")
    return bad, total


def _plain(raw: RawRow) -> dict[str, Any]:
    """Values as JSON holds them; dates and decimals become text."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(raw.values), default=str))
    return plain


def _write_rows(spill: Path, folder: Path, build: Build) -> list[BadRow]:
    """Build every row into a sample as a check; write those that are samples."""
    import pyarrow as pa

    schema = pa.schema([("number", pa.int64()), ("record", pa.large_string()), ("sha256", pa.binary(32))])
    images, owners, seen = ImageReader(folder), _owners(spill), dict[str, int]()
    bad: list[BadRow] = []
    batch: list[dict[str, Any]] = []
    with pa.OSFile(str(folder / ROWS), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for file, number, place, record in _records(spill):
            try:
                record["images"] = {name: _resolved(cells, owners) for name, cells in record["images"].items()}
                row = assembled(record, images)
                sample = build(row)
                if sample is None:
                    continue
                name = finished(sample, place).id
                if name in seen:
                    raise ValueError(f"the index {name!r} is a duplicate: row {seen[name]} has it too")
                seen[name] = number
            except ValueError as error:
                bad.append(BadRow(file, number, str(record["values"].get("index") or ""), str(error)))
                continue
            batch.append({"number": place, "record": json.dumps(record), "sha256": _digest(row)})
            if len(batch) == _BATCH_ROWS:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                batch = []
        if batch:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
    return bad


def _records(spill: Path) -> Iterator[tuple[str, int, int, dict[str, Any]]]:
    with spill.open(encoding="utf-8") as file:
        for line in file:
            name, number, place, record = json.loads(line)
            yield name, number, place, record


def _owners(spill: Path) -> dict[str, list[int]]:
    """Index -> its images, of every row that other rows show and that has images of its own."""
    wanted = {
        cell["same_as"]
        for *_, record in _records(spill)
        for cells in record["images"].values()
        for cell in cells
        if isinstance(cell, dict)
    }
    if not wanted:
        return {}
    return {
        str(record["values"].get("index")).strip(): record["images"]["image"]
        for *_, record in _records(spill)
        if str(record["values"].get("index")).strip() in wanted
        and all(isinstance(cell, int) for cell in record["images"].get("image", ()))
    }


def _resolved(cells: list[Any], owners: Mapping[str, list[int]]) -> list[int]:
    numbers: list[int] = []
    for cell in cells:
        if isinstance(cell, int):
            numbers.append(cell)
        elif cell["same_as"] in owners:
            numbers += owners[cell["same_as"]]
        else:
            raise ValueError(
                f"the image {cell['same_as']!r} is neither base64 nor the index of a row with a good image"
            )
    return numbers


def _digest(row: Row) -> bytes:
    """Content of a row: its values, and its images by their content."""

    def shown(value: Any) -> Any:
        return value.sha256 if isinstance(value, Image) else str(value)

    return hashlib.sha256(json.dumps(row, sort_keys=True, default=shown).encode()).digest()
