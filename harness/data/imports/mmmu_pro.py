"""MMMU-Pro output: a JSON object a line, the columns of the data set plus the response."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.data.imports.record import Record, load_lines, need, said


def read(path: Path) -> Iterator[Record]:
    """Lines id, question, options, answer, subject, response."""
    for where, entry in load_lines(path):
        name, response, answer = need(where, entry, "id", "response", "answer")
        row = {key: value for key, value in entry.items() if key not in ("response", "pred_indexs", "if_right")}
        yield Record(where, (name,), said(response), row, "hub", target=answer)
