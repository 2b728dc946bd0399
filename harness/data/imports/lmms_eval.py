"""lmms-eval samples (--log_samples): a JSON object a line with the response and, in older versions, the item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.api import HarnessError, Response
from harness.data.imports.record import Record, load_lines, need, said

# Under these names the tasks of lmms-eval keep an item's own id in their metrics.
_NAMES = ("id", "question_id", "idx", "pid", "index")


def read(path: Path) -> Iterator[Record]:
    """Lines doc_id, target, filtered_resps, resps (where a filter changed them), doc (only before 0.7).

    The raw response is taken, so that a filter of lmms-eval does not decide under another protocol. Without `doc` the
    items come from --data, in the order of the hub's split, or by the id that a metric states.
    """
    files = sorted(path.glob("*_samples_*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise HarnessError(f"{path} has no *_samples_*.jsonl", "run lmms-eval with --log_samples, or name the file")
    for file in files:
        for where, entry in load_lines(file):
            position, target = need(where, entry, "doc_id", "target")
            doc = entry.get("doc")
            row = doc if isinstance(doc, Mapping) and doc else None
            yield Record(
                where, _ids(entry, row), _response(where, entry), row, "hub", position=int(position), target=str(target)
            )


def _ids(entry: Mapping[str, Any], row: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The item's own id, from the item or from a metric that repeats it."""
    for part in (row, *entry.values()):
        if isinstance(part, Mapping):
            for name in _NAMES:
                if isinstance(part.get(name), str | int):
                    return (str(part[name]),)
    return ()


def _response(where: str, entry: Mapping[str, Any]) -> Response:
    """The first response: lmms-eval unpacks lists of one."""
    value = entry["resps"] if "resps" in entry else need(where, entry, "filtered_resps")[0]
    while isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, str):
        raise HarnessError(f"{where}: the response is no text (a likelihood task?)", "import a generation task")
    return said(value)
