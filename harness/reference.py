"""A run's numbers without its responses: small enough to commit, enough to compare with.

A reference is a folder with `units.parquet` (what paired statistics compare) and `reference.json` (each number with
its provenance). `read_measured` reads it and a whole run alike.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import __version__
from harness.api import HarnessError, Unit
from harness.compare import Measured
from harness.store import Cell, Result, Store

_NUMBERS, _UNITS = "reference.json", "units.parquet"
_COLUMNS = ["model", "task", "protocol", "judge", "id", "cluster", "score", "weight"]


def write_reference(run: Path, out: Path) -> None:
    """Export the run folder `run` as the reference `out`; reference.json is written last.

    Of a training only the last stage is exported: the gate decides about what would be shipped.
    """
    import pandas

    measured = [m for m in read_measured(run) if m.result.stage.get("last", True)]
    if not measured:
        raise HarnessError(f"{run} has no finished task", "finish the run first")
    out.mkdir(parents=True, exist_ok=True)
    rows = [(*m.result.cell, u.id, u.cluster, u.score, u.weight) for m in measured for u in m.units]
    part = out / f".{_UNITS}.part"
    frame = pandas.DataFrame(rows, columns=_COLUMNS)
    frame.to_parquet(part, index=False, compression="zstd")
    part.replace(out / _UNITS)
    manifest = run / "manifest.json"
    told = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    body = {
        "harness": told.get("harness", __version__),
        **{name: told[name] for name in ("git", "python", "packages", "hardware", "finished") if name in told},
        "cells": [[list(m.result.cell), _fields(m.result)] for m in measured],
    }
    part = out / f".{_NUMBERS}.part"
    part.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(out / _NUMBERS)


def _fields(result: Result) -> dict[str, Any]:
    """A number without the folder of its checkpoint: nobody else has it, and the fingerprint says which it was."""
    fields: dict[str, Any] = json.loads(result.to_json())
    fields["stage"].pop("checkpoint", None)
    return fields


def read_measured(folder: Path) -> list[Measured]:
    """Every number of a run or a reference with its units.

    Raises HarnessError if the folder is neither, or if a reference is damaged.
    """
    if not (folder / _NUMBERS).is_file():
        with Store(folder, write=False) as store:
            return [Measured(folder.name, result, store.units(result.cell)) for result in store.results()]
    import pandas

    remedy = "export it again: python results/make_reference.py RUN FOLDER"
    try:
        body = json.loads((folder / _NUMBERS).read_text(encoding="utf-8"))
        results = [Result.from_json(Cell(*cell), json.dumps(fields)) for cell, fields in body["cells"]]
        frame = pandas.read_parquet(folder / _UNITS, columns=_COLUMNS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"the reference {folder} cannot be read: {error}", remedy) from error
    units: dict[Cell, list[Unit]] = {}
    for row in frame.itertuples(index=False):
        units.setdefault(Cell(*row[:4]), []).append(Unit(*row[4:]))
    absent = [r.cell for r in results if len(units.get(r.cell, [])) != r.metrics.n]
    if absent:
        raise HarnessError(f"{folder / _UNITS} does not hold all units of {absent[0]}", remedy)
    return [Measured(folder.name, result, units[result.cell]) for result in results]
