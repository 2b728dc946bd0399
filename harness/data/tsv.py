"""VLMEvalKit TSV: one row a question, images as base64, as another row's index, as a list, or as files beside it."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.api import HarnessError, TsvFile
from harness.data.images import MAX_ENCODED_BYTES, decode_base64, inside
from harness.data.rows import RawRow, SameAs
from harness.data.schema import is_missing, literal_list

_IMAGES = ("image", "image_path")
_SHORTEST_BASE64 = 64  # VLMEvalKit's rule: a shorter cell is the index of the row that holds the image
_MAX_CELL = 2 * MAX_ENCODED_BYTES


@dataclass(frozen=True)
class TsvSource:
    """A TSV file; `published` and `md5` describe the whole set if the file has its name."""

    path: Path
    published: int = 0
    md5: str = ""

    @classmethod
    def of(cls, path: Path, official: TsvFile) -> TsvSource:
        """The file as what its name says it is: the task's published set, or someone's own."""
        named = path.name == f"{official.name}.tsv"
        return cls(path, official.rows if named else 0, official.md5 if named else "")

    @property
    def key(self) -> str:
        """The file's place, and what it was checked against."""
        return f"tsv {self.md5} {self.path.resolve()}"

    @property
    def label(self) -> str:
        """The file's name."""
        return self.path.name

    def files(self) -> list[Path]:
        """The TSV itself."""
        return [self.path]

    def rows(self) -> Iterator[RawRow]:
        """Every row; cells are text or None."""
        csv.field_size_limit(_MAX_CELL)
        number = 0
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, delimiter="\t")
                header = self._header(next(reader, []))
                for cells in reader:
                    if cells:
                        number += 1
                        yield self._row(number, header, cells)
        except UnicodeDecodeError as error:
            raise HarnessError(
                f"{self.path}: row {number + 1} or one of the next is not UTF-8 text ({error.reason})",
                "download the file again, or save it as UTF-8",
            ) from None
        except csv.Error as error:
            raise HarnessError(
                f"{self.path}: row {number + 1} cannot be read: {error}",
                'look for a quotation mark (") that is never closed, or download the file again',
            ) from None

    def _header(self, names: list[str]) -> list[str]:
        if not names:
            raise HarnessError(f"{self.path} is empty", "download the file again")
        missing = [] if "index" in names else ["index"]
        missing += [] if any(name in names for name in _IMAGES) else ["image"]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if missing or repeated:
            fault = f"no column {' and no column '.join(missing)}" if missing else f"two columns {repeated[0]!r}"
            raise HarnessError(
                f"{self.path}: row 0 (the header) has {fault}; it has {', '.join(names)[:300]}",
                "give a tab-separated file in VLMEvalKit's schema: index, image, question, answer, [A, B, ...]",
            )
        return names

    def _row(self, number: int, header: list[str], cells: list[str]) -> RawRow:
        values = {
            name: None if is_missing(cell) else cell
            for name, cell in zip(header, cells, strict=False)
            if name not in _IMAGES
        }
        if len(cells) != len(header):
            problem = f"{len(cells)} cells where the header has {len(header)} columns (a cut file or a stray tab?)"
            return RawRow(str(self.path), number, values, problem=problem)
        named = dict(zip(header, cells, strict=True))
        image, image_path = named.get("image", ""), named.get("image_path", "")
        try:
            if not is_missing(image):
                return RawRow(str(self.path), number, values, {"image": [_encoded(one) for one in _cells(image)]})
            if not is_missing(image_path):
                paths = tuple(inside(self.path.parent, name) for name in _cells(image_path))
                return RawRow(str(self.path), number, values, {"image": [path.read_bytes() for path in paths]}, paths)
        except (ValueError, OSError) as error:
            return RawRow(str(self.path), number, values, problem=str(error))
        return RawRow(str(self.path), number, values, problem="there is no image")

    def whole(self, rows: int) -> None:
        """A file with as many rows as the published set must have its MD5."""
        if not self.md5 or rows != self.published:
            return
        with self.path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != self.md5:
            raise HarnessError(
                f"{self.path} has all {rows} rows of the published set, but its MD5 is {found}, not {self.md5}",
                "download it again; an edition of your own needs a name of its own, given as --data FILE.tsv",
            )


def _encoded(cell: str) -> bytes | SameAs:
    return SameAs(cell.strip()) if len(cell) < _SHORTEST_BASE64 else decode_base64(cell)


def _cells(written: str) -> list[str]:
    """One cell's images: the elements of a list written as text, else the cell itself."""
    if not written.lstrip().startswith("["):
        return [written]
    elements = literal_list(written)
    if not elements:
        raise ValueError(f"the list of images is empty, cut off or damaged: {written[:40]!r}...")
    return elements
