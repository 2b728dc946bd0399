"""Readers of what other frameworks stored: one file per family of formats, found by the name of the format."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from harness.api import HarnessError
from harness.data.imports.record import Record

__all__ = ["FORMATS", "Format", "Record", "read"]


class Format(NamedTuple):
    """A format: its module here, the tasks that it can hold (none: any), what it is."""

    module: str
    tasks: tuple[str, ...]
    help: str


FORMATS = {
    "mmmu": Format("mmmu", ("mmmu",), "MMMU example outputs: a folder of <Subject>/output.json, or one of them"),
    "mmmu-pro": Format("mmmu_pro", ("mmmu_pro_standard", "mmmu_pro_vision"), "MMMU-Pro output: jsonl"),
    "mathvista": Format("mathvista", ("mathvista",), "MathVista output_*.json, with the judge's extractions"),
    "blink": Format("blink", ("blink",), "BLINK saved outputs: a folder of <Task>.json, with the judge's matches"),
    "seedbench": Format("seedbench", ("seedbench",), "SEED-Bench answers: lines of question_id, prediction, gt_answer"),
    "mmvet": Format("mmvet", ("mmvet",), "MM-Vet results json; --grades adds the judge's grades"),
    "vlmevalkit": Format("vlmevalkit", (), "VLMEvalKit predictions or scored predictions: xlsx or tsv"),
    "lmms-eval": Format("lmms_eval", (), "lmms-eval *_samples_*.jsonl (--log_samples), a file or a folder of them"),
}


def read(form: str, path: Path, grades: Path | None = None) -> Iterator[Record]:
    """The records of a file or folder in a format. Raises HarnessError that names file and row."""
    if not path.exists():
        raise HarnessError(f"there is nothing at {path}", "check the path")
    if grades is not None and form != "mmvet":
        raise HarnessError(f"the format {form} has no separate grades", "leave --grades out")
    module = import_module(f"harness.data.imports.{FORMATS[form].module}")
    found: Iterator[Record] = module.read(path, grades) if form == "mmvet" else module.read(path)
    return found
