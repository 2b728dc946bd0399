"""What trainings wrote down while they ran, as curves of a few hundred points."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.api import HarnessError

_POINTS = 300
_SUMMED = ("questions", "responses", "tokens", "seconds")


def read_curves(folder: Path) -> list[dict[str, Any]]:
    """The training logs (`train.jsonl`, a JSON object a step) below a run folder.

    Each has a name, its method, its steps, series by name, and totals (steps, questions, responses, tokens, seconds,
    and the most memory) of what its steps say.
    Neighbouring steps are averaged where there are more than a few hundred. Numbers of an inner object get a name
    with slashes (`by_source/student/accuracy`). A last line that is not whole yet is left out; any other bad line is
    a HarnessError.
    """
    logs = []
    for path in sorted(folder.glob("*/*/train.jsonl")):
        records = _records(path)
        if records:
            name = path.parent.relative_to(folder)
            logs.append(
                {"name": name.as_posix(), "method": name.parts[0], **_curves(records), "totals": _totals(records)}
            )
    return logs


def _records(path: Path) -> list[dict[str, float]]:
    records = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            record = json.loads(line)
            records.append({"step": float(record["step"]), **_numbers(record)})
        except (ValueError, KeyError, TypeError) as error:
            raise HarnessError(
                f"{path}, line {number}: not a training step ({error})",
                "repair or move the file; the report reads every train.jsonl of the run",
            ) from error
    return records


def _numbers(record: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            found.update(_numbers(value, f"{prefix}{name}/"))
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "step":
            found[prefix + name] = float(value)
    return found


def _curves(records: list[dict[str, float]]) -> dict[str, Any]:
    width = -(-len(records) // _POINTS)
    bins = [records[start : start + width] for start in range(0, len(records), width)]
    names = dict.fromkeys(name for record in records for name in record if name != "step")
    return {
        "steps": [part[-1]["step"] for part in bins],
        "series": {name: [_mean([r[name] for r in part if name in r]) for part in bins] for name in names},
    }


def _totals(records: list[dict[str, float]]) -> dict[str, float]:
    sums = {name: sum(record.get(name, 0.0) for record in records) for name in _SUMMED if name in records[0]}
    most = {name: max(r[name] for r in records if name in r) for name in records[-1] if name.startswith("memory/")}
    return {"steps": len(records), **sums, **most}


def _mean(values: list[float]) -> float | None:
    return float(f"{sum(values) / len(values):.5g}") if values else None  # no chart shows more digits
