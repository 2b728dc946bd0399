"""MMMU-Pro output: a JSON object a line, the columns of the data set plus the response."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.data.imports.record import Record, load_lines, need, said


def read(path: Path) -> Iterator[Record]:
    """Lines id, question, options, answer, subject, response; the file's name ends with how they were asked."""
    mode = next((mode for mode in ("cot", "direct") if path.stem.endswith(f"_{mode}")), None)
    for where, entry in load_lines(path):
        name, response, answer = need(where, entry, "id", "response", "answer")
        row = {key: value for key, value in entry.items() if key not in ("response", "pred_indexs", "if_right")}
        row["mode"] = mode
        yield Record(where, (name,), said(response), row, "hub", target=answer)
