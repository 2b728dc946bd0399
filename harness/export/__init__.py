"""Runs in other frameworks' formats: one file per framework, found by the name of the format."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from harness.export.answers import Answers, answers_of
from harness.store import Store

__all__ = ["FORMATS", "Answers", "Format", "export_run"]


class Format(NamedTuple):
    """A format: its module here, what it writes."""

    module: str
    help: str


FORMATS = {
    "lmms-eval": Format("lmms_eval", "MODEL/*_samples_TASK.jsonl and *_results.json, as --log_samples writes them"),
    "vlmeval": Format("vlmevalkit", "MODEL/MODEL_DATASET.tsv (or .xlsx), and LMUData/DATASET.tsv with the items"),
    "inspect": Format("inspect_log", "an Inspect log (.eval) for each model and task, images included"),
}


def export_run(
    run: Path, form: str, out: Path, *, task: str | None = None, model: str | None = None, protocol: str | None = None,
    data: str | None = None, **options: bool,
) -> list[Path]:  # fmt: skip
    """Write the cells of a run that are named in a format; the files written.

    `data` says where the items' images lie, if not where the run had them. Raises HarnessError where nothing is named.
    """
    module = import_module(f"harness.export.{FORMATS[form].module}")
    with Store(run, write=False) as store:
        chosen: Sequence[Answers] = answers_of(store, task=task, model=model, protocol=protocol, data=data)
        out.mkdir(parents=True, exist_ok=True)
        written: list[Path] = module.write(chosen, out, **options)
    return written
