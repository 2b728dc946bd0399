"""MM-Vet results: v1_N -> response, and the grades that the authors' evaluator wrote for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.api import HarnessError
from harness.data.imports.record import Record, as_list, as_object, load_json, need, said

_PREFIX = "v1_"


def read(path: Path, grades: Path | None = None) -> Iterator[Record]:
    """Responses by v1_N; `grades` is the evaluator's *-grade-*.json (several runs are averaged, as upstream does).

    Neither file states the questions: they come from --items or --data. VLMEvalKit numbers the items from 1.
    """
    graded: dict[str, Any] = {} if grades is None else as_object(str(grades), load_json(grades))
    for name, response in as_object(str(path), load_json(path)).items():
        where = f"{path}, {name}"
        number = name.removeprefix(_PREFIX)
        if not (name.startswith(_PREFIX) and number.isdecimal()):
            raise HarnessError(f"{where}: the name is not of the form v1_N", "check that it is a result file of MM-Vet")
        judged = {}
        if grades is not None:
            place = f"{grades}, {name}"
            scores = as_list(place, need(place, as_object(place, graded.get(name, {})), "score")[0])
            judged["grade"] = str(sum(map(float, scores)) / len(scores))
        yield Record(where, (name, str(int(number) + 1)), said(response), judged=judged)
