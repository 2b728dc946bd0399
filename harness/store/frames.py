"""A run as pandas frames, and its export as parquet."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import HarnessError
from harness.store.results import Result
from harness.store.store import Store

if TYPE_CHECKING:
    import pandas
    import pyarrow

_ITEMS = """
SELECT c.model, c.task, c.protocol, c.judge, v.sample_id AS id, s.cluster, v.state, v.score, v.extracted, v.rule,
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
SELECT c.model, c.task, c.protocol, c.judge, u.id, u.cluster, u.score, u.weight
FROM units u JOIN cells c ON c.id = u.cell ORDER BY c.id, u.position
"""
_TABLES = (("items", _ITEMS), ("units", _UNITS))

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
        items, units = store.frame(_ITEMS), store.frame(_UNITS)
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
    """Write items.parquet and units.parquet beside the database, each whole or not at all; memory stays flat."""
    import pyarrow
    from pyarrow import parquet

    for name, query in _TABLES:
        part = store.folder / f".{name}.parquet.part"
        columns, batches = store.rows(query)
        schema = pyarrow.schema([(column, _NUMBERS.get(column, "large_string")) for column in columns])
        with parquet.ParquetWriter(part, schema) as out:
            for rows in batches:
                values = zip(*rows, strict=True)
                arrays = [_array(column, field.type) for column, field in zip(values, schema, strict=True)]
                out.write_batch(pyarrow.record_batch(arrays, schema=schema))
        part.replace(store.folder / f"{name}.parquet")


def _array(values: Sequence[Any], kind: pyarrow.DataType) -> pyarrow.Array:
    """A column from its buffers: pyarrow.array would import pandas, which takes longer than the whole export.

    No value is NULL: a verdict has its response and its item.
    """
    import pyarrow

    if kind == pyarrow.large_string():
        texts = [value.encode() for value in values]
        ends = array("q", accumulate(map(len, texts), initial=0))
        buffers = [None, pyarrow.py_buffer(ends), pyarrow.py_buffer(b"".join(texts))]
    else:
        buffers = [None, pyarrow.py_buffer(array("d" if kind == pyarrow.float64() else "q", values))]
    return pyarrow.Array.from_buffers(kind, len(values), buffers)
