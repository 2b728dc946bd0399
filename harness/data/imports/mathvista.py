"""MathVista output: one JSON object, pid -> problem with response and, once extracted, the judge's extraction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.data.imports.record import Record, as_object, load_json, need, said


def read(path: Path) -> Iterator[Record]:
    """Problems as the data set has them, plus response and extraction; one without response is an error there."""
    for pid, value in as_object(str(path), load_json(path)).items():
        where = f"{path}, problem {pid}"
        problem = as_object(where, value)
        response, answer = need(where, problem, "response", "answer")
        # The problem is told apart by its picture: questions about one picture are no independent items.
        row = {"pid": pid, **problem}
        judged = {"extract": str(problem["extraction"])} if problem.get("extraction") is not None else {}
        yield Record(where, (pid,), said(response), row, "hub", judged=judged, target=str(answer))
