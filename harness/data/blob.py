"""Images on disk: the encoded bytes of every distinct image in one file, read one at a time by position."""

from __future__ import annotations

import hashlib
import os
from array import array
from functools import partial
from pathlib import Path

from harness.api import HarnessError, Image
from harness.data.images import check_image

BYTES, INDEX = "images.bin", "images.arrow"
_DIGEST = 32


class Blob:
    """Images by position in a file, from any thread or forked process. Pickles as its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")  # held open: a newer edition at the same path does not change this one

    def __reduce__(self) -> tuple[type[Blob], tuple[Path]]:
        return Blob, (self.path,)

    def read(self, offset: int, length: int, sha256: str) -> bytes:
        """The bytes at that position, checked by their hash, so that a damaged disk never shows another image.

        Not memory-mapped: resident memory does not grow with the images that were read.
        """
        data = os.pread(self._file.fileno(), length, offset)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise HarnessError(f"{self.path} has changed or is damaged", "delete its folder; it is made again")
        return data


class ImageWriter:
    """Writes every distinct image once, after decoding it as a check. A context that ends with the index written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = (folder / BYTES).open("wb")
        self._numbers: dict[bytes, int] = {}
        self._lengths = array("q")

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None:
            self._write_index()

    def add(self, data: bytes) -> int:
        """The number of the image; ValueError if it cannot be decoded or is too large."""
        digest = hashlib.sha256(data).digest()
        if digest not in self._numbers:
            check_image(data)
            self._file.write(data)
            self._numbers[digest] = len(self._lengths)
            self._lengths.append(len(data))
        return self._numbers[digest]

    def _write_index(self) -> None:
        import numpy as np
        import pyarrow as pa

        lengths = np.array(self._lengths, dtype=np.int64)
        columns = {
            "sha256": pa.array(self._numbers, pa.binary(_DIGEST)),
            "offset": np.cumsum(lengths) - lengths,
            "length": lengths,
        }
        table = pa.table(columns)
        with pa.OSFile(str(self._folder / INDEX), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)


class ImageReader:
    """The images of a folder that ImageWriter wrote, by number."""

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa

        table = pa.ipc.open_file(pa.memory_map(str(folder / INDEX))).read_all()
        self._digests = table["sha256"]
        self._offsets, self._lengths = table["offset"], table["length"]
        self._blob = Blob(folder / BYTES)

    def __getitem__(self, number: int) -> Image:
        offset, length = self._offsets[number].as_py(), self._lengths[number].as_py()
        sha256 = self._digests[number].as_py().hex()
        return Image(sha256, partial(self._blob.read, offset, length, sha256))
