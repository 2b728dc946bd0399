"""A run as pandas frames, and its export as parquet."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import HarnessError
from harness.store.results import Result
from harness.store.store import Store

if TYPE_CHECKING:
    import pandas
    import pyarrow

_CELL = ("model", "task", "protocol", "judge")
_ITEMS = """
SELECT {cell}, v.sample_id AS id, s.cluster, v.state, v.score, v.extracted, v.rule,
       v.random, v.note, r.text AS response, r.finish, r.error, r.prompt_tokens, length(r.token_ids) / 4 AS tokens,
       json_extract(s.body, '$.question') AS question, json_extract(s.body, '$.answer') AS answer,
       json_extract(s.body, '$.choices') AS choices, json_extract(s.body, '$.meta') AS meta,
       json_extract(s.body, '$.images') AS images
FROM verdicts v JOIN cells c ON c.id = v.cell
LEFT JOIN responses r ON r.key = v.key AND r.sample_index = 0
LEFT JOIN samples s ON s.task = c.task AND s.id = v.sample_id
ORDER BY c.id, v.position
"""
_UNITS = """
SELECT {cell}, u.id, u.cluster, u.score, u.weight
FROM units u JOIN cells c ON c.id = u.cell ORDER BY c.id, u.position
"""
_TABLES = (("items", _ITEMS), ("units", _UNITS))
_ROW_GROUP = 16_384  # rows in memory while a table is exported

#: Columns of the exports that are not text.
_NUMBERS = {
    "score": "float64", "weight": "float64", "random": "int64", "prompt_tokens": "int64", "tokens": "int64",
}  # fmt: skip


@dataclass(frozen=True)
class LoadedRun:
    """A run to look at: `items` (a row per response and verdict), `units` (what statistics compare), `results`.

    `manifest` is None while the run is unfinished.
    """

    folder: Path
    results: list[Result]
    items: pandas.DataFrame
    units: pandas.DataFrame
    manifest: dict[str, object] | None


def load_run(path: Path | str) -> LoadedRun:
    """Read a run folder, finished or not.

    Raises HarnessError if it is no run.
    """
    folder = Path(path)
    with Store(folder, write=False) as store:
        results = store.results()
        cell = ", ".join(f"c.{column}" for column in _CELL)
        items, units = (store.frame(query.format(cell=cell)) for _, query in _TABLES)
    manifest = folder / "manifest.json"
    try:
        stated = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else None
    except (OSError, ValueError) as error:
        raise HarnessError(
            f"{manifest} cannot be read: {error}", "delete it; the same `harness run` writes it again"
        ) from error
    return LoadedRun(folder, results, items, units, stated)


def is_exported(store: Store) -> bool:
    """Whether the tables lie beside the database."""
    return all((store.folder / f"{name}.parquet").is_file() for name, _ in _TABLES)


def export(store: Store) -> None:
    """Write items.parquet and units.parquet beside the database, each whole or not at all; memory stays flat.

    The four names of a cell, the same for thousands of rows, are not read with every row.
    """
    import pyarrow
    from pyarrow import parquet

    cells = store.cells()
    for name, query in _TABLES:
        part = store.folder / f".{name}.parquet.part"
        names, batches = store.encoded(query.format(cell="c.id"))
        schema = pyarrow.schema([(n, _NUMBERS.get(n, "large_string")) for n in (*_CELL, *names[1:])])
        with parquet.ParquetWriter(part, schema) as out:
            columns = [_Column(field.type) for field in schema]
            for rows in batches:
                ids, *values = zip(*rows, strict=True)
                for id, same in groupby(ids):
                    count = sum(1 for _ in same)
                    for column, text in zip(columns, cells[id], strict=False):
                        column.extend([text.encode()] * count)
                for column, some in zip(columns[len(_CELL) :], values, strict=True):
                    column.extend(some)
                if len(columns[0]) >= _ROW_GROUP:
                    out.write_batch(_batch(columns, schema))
            if len(columns[0]):
                out.write_batch(_batch(columns, schema))
        part.replace(store.folder / f"{name}.parquet")


def _batch(columns: Sequence[_Column], schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    """What the columns hold, as a row group; they are empty afterwards."""
    import pyarrow

    return pyarrow.record_batch([column.take() for column in columns], schema=schema)


class _Column:
    """A column that grows, as the buffers of its array: pyarrow.array would import pandas, which takes longer than
    the whole export. No value is NULL: a verdict has its response and its item.
    """

    __slots__ = ("_code", "_kind", "_numbers", "_text")

    def __init__(self, kind: pyarrow.DataType) -> None:
        self._kind, self._code = kind, "d" if str(kind) == "double" else "q"
        self._text: bytearray | None = bytearray() if str(kind) == "large_string" else None
        self._numbers = self._none()

    def _none(self) -> array[Any]:
        """No numbers; of text, the numbers are the ends of the values, behind the start of the first."""
        return array(self._code, () if self._text is None else (0,))

    def __len__(self) -> int:
        return len(self._numbers) - (self._text is not None)

    def extend(self, values: Sequence[Any]) -> None:
        """Append values: numbers, or text in UTF-8."""
        if self._text is None:
            self._numbers.extend(values)
        else:
            self._numbers.extend(accumulate(map(len, values), initial=self._numbers.pop()))
            self._text += b"".join(values)

    def take(self) -> pyarrow.Array:
        """The values so far; the column is empty afterwards."""
        import pyarrow

        count, numbers, text = len(self), self._numbers, self._text
        buffers = [None, pyarrow.py_buffer(numbers)]
        if text is not None:
            _check_utf8(text)
            buffers.append(pyarrow.py_buffer(text))
            self._text = bytearray()
        self._numbers = self._none()
        return pyarrow.Array.from_buffers(self._kind, count, buffers)


def _check_utf8(text: bytearray) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise HarnessError(
            f"the run holds text that is not UTF-8: {error}",
            "the database was damaged by something else: restore it from a copy or use a new folder",
        ) from error
