"""A folder of one's own: data.jsonl with the keys of the TSV schema, images as files beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.api import HarnessError
from harness.data.images import inside
from harness.data.rows import RawRow, as_text

_MAX_LINE = 16 * 2**20


@dataclass(frozen=True)
class FolderSource:
    """A data.jsonl; `image` is the name of a file, or a list of names (which may be empty), relative to its folder."""

    path: Path
    published: int = 0

    @property
    def key(self) -> str:
        """The file's place."""
        return f"jsonl {self.path.resolve()}"

    @property
    def label(self) -> str:
        """The file with its folder, since every such file is called data.jsonl."""
        return f"{self.path.resolve().parent.name}/{self.path.name}"

    def files(self) -> list[Path]:
        """The jsonl itself."""
        return [self.path]

    def rows(self) -> Iterator[RawRow]:
        """Every line that is not blank; numbers and lists become text, as a TSV would hold them."""
        number = 0
        with self.path.open("rb") as file:
            while line := file.readline(_MAX_LINE + 1):
                if len(line) > _MAX_LINE:
                    raise HarnessError(f"{self.path}: row {number + 1} is longer than {_MAX_LINE} bytes", "cut it")
                if line.strip():
                    number += 1
                    yield self._row(number, line)

    def _row(self, number: int, line: bytes) -> RawRow:
        try:
            stated = json.loads(line)
            if not isinstance(stated, dict):
                raise ValueError("the line is not a JSON object")
        except (ValueError, RecursionError) as error:
            problem = str(error) if "JSON object" in str(error) else f"the line is not JSON: {error}"
            return RawRow(str(self.path), number, {}, problem=problem)
        names = stated.pop("image", None)
        values = {name: as_text(value) for name, value in stated.items()}
        try:
            paths = tuple(inside(self.path.parent, name) for name in _names(names))
            return RawRow(str(self.path), number, values, {"image": [path.read_bytes() for path in paths]}, paths)
        except (ValueError, OSError) as error:
            return RawRow(str(self.path), number, values, problem=str(error))

    def whole(self, rows: int) -> None:
        """Nobody published this set."""


def _names(stated: object) -> list[str]:
    listed = stated if isinstance(stated, list) else [stated]
    names = [name for name in listed if isinstance(name, str) and name]
    if len(names) < len(listed):
        raise ValueError(f"'image' must be a file name or a list of file names, not {str(stated)[:60]!r}")
    return names
