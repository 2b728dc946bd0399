"""VLMEvalKit's side of the bridge: lists datasets, writes a dataset's requests, scores answers by its own evaluate."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("PRED_FORMAT", "tsv")  # xlsx drops control characters and long texts

import pandas as pd
from vlmeval.dataset import SUPPORTED_DATASETS, build_dataset
from vlmeval.inference import infer_data_job
from vlmeval.smp import get_pred_file_path, load

from .files import DATA, METRICS, VERDICTS, Record, Refused, item, read_lines, run_job, write_lines
from .metrics import number, summary
from .vlmeval_model import Stored, keep_local_tables, to_request

_MODEL = "harness"
_SCORES = ("hit", "score", "match", "correct")


def list_tasks(job: Record) -> None:
    """Names of the datasets."""
    write_lines(Path(job["out"]), ({"task": name} for name in SUPPORTED_DATASETS))


def prepare(job: Record) -> None:
    """data.jsonl: the dataset's requests as items of our folder format, in its order."""
    folder, dataset = Path(job["out"]), _dataset(job)
    records = []
    for place in range(len(dataset.data)):
        line = dataset.data.iloc[place]
        request = to_request(str(line["index"]), dataset.build_prompt(line), folder)
        records.append(item(request, str(line.get("answer", "")), job["made_by"]))
    write_lines(folder / DATA, records)


def score(job: Record) -> None:
    """verdicts.jsonl and, last, metrics.json: answers scored and counted by the dataset's evaluate."""
    folder = Path(job["out"])
    answers = {line["index"]: line["text"] for line in read_lines(Path(job["answers"]))}
    clusters = {line["index"]: line["cluster"] for line in read_lines(Path(job["answers"]))}
    dataset = _dataset(job)
    metrics, items, read = _evaluated(dataset, answers, job["judge"], folder / "work")
    headline = job["metric"] or next(iter(metrics), "")
    if headline not in metrics:
        raise Refused(f"{job['task']} has no metric {headline!r}; it states {', '.join(metrics) or 'none'}")

    def without(gone: set[str]) -> float:
        kept = {name: text for name, text in answers.items() if name not in gone}
        with tempfile.TemporaryDirectory(dir=folder) as work:
            return _evaluated(dataset, kept, job["judge"], Path(work))[0][headline]

    made = summary(metrics[headline], {name: items.get(name) for name in answers}, clusters, without, percent=True)
    metric = headline.rpartition(" ")[2]
    verdicts = ({"index": i, "metric": metric, "score": items.get(i), "extracted": read.get(i, "")} for i in answers)
    write_lines(folder / VERDICTS, verdicts)
    (folder / METRICS).write_text(json.dumps({"headline": headline, "metrics": metrics, **made}), encoding="utf-8")


def _dataset(job: Record) -> Any:
    """The dataset, from the table in the folder of --data, or as VLMEvalKit finds it."""
    name = job["task"]
    here = (Path(os.environ["LMUData"]) / f"{name}.tsv").exists()  # noqa: SIM112 - VLMEvalKit's own spelling
    if job["data"]:
        keep_local_tables()
    if not here and name not in SUPPORTED_DATASETS:
        raise Refused(f"VLMEvalKit has no dataset {name}, and --data has no {name}.tsv")
    if not here and job["data"]:
        raise Refused(f"{job['data']} has no {name}.tsv")
    dataset = build_dataset(name)
    if dataset is None:
        raise Refused(f"VLMEvalKit cannot build the dataset {name}; its log says why")
    if getattr(dataset, "MODALITY", "") != "IMAGE" or getattr(dataset, "TYPE", "") == "MT":
        raise Refused(f"{name} shows videos or asks in several turns; the bridge carries single image questions only")
    return dataset


def _evaluated(
    dataset: Any, answers: Mapping[str, str], judge: str, work: Path
) -> tuple[dict[str, float], dict[str, float], dict[str, str]]:
    """(metrics, score by item, reading by item) of the answers, by VLMEvalKit's inference job and evaluate."""
    work.mkdir(parents=True, exist_ok=True)
    everything = dataset.data
    dataset.data = everything[[str(index) in answers for index in everything["index"]]].copy()
    try:
        if len(dataset.data) < len(answers):
            raise Refused(f"{dataset.dataset_name} lacks items that were answered: its data has changed")
        ordered = [answers[str(index)] for index in dataset.data["index"]]
        infer_data_job(Stored(ordered), str(work), _MODEL, dataset)
        table = get_pred_file_path(str(work), _MODEL, dataset.dataset_name)
        before = {path.name for path in work.iterdir()}
        metrics = _flat(dataset.evaluate(table, model=judge, nproc=1))
    finally:
        dataset.data = everything
    return metrics, *_items(path for path in sorted(work.iterdir()) if path.name not in before)


def _flat(stated: Any) -> dict[str, float]:
    """Every number of a table or a mapping, by name; of a table's rows the first is the whole set."""
    if isinstance(stated, pd.DataFrame):
        labels = [name for name in stated.columns if not all(number(value) is not None for value in stated[name])]
        found = {}
        for _, row in stated.iterrows():
            label = " ".join(str(row[name]) for name in labels if not pd.isna(row[name]))
            found.update({f"{label} {name}".strip(): row[name] for name in stated.columns if name not in labels})
    elif isinstance(stated, Mapping):
        found = {}
        for name, value in stated.items():
            inner = _flat(value) if isinstance(value, Mapping | pd.DataFrame) else {"": value}
            found.update({f"{name} {key}".strip(): one for key, one in inner.items()})
    else:
        raise Refused(f"VLMEvalKit's evaluate gave {type(stated).__name__}, neither a table nor a mapping")
    return {name: made for name, value in found.items() if (made := number(value)) is not None}


def _items(paths: Any) -> tuple[dict[str, float], dict[str, str]]:
    """Score and reading of each item in the tables that evaluate left behind."""
    for path in paths:
        if path.suffix not in (".tsv", ".xlsx"):
            continue
        table = load(str(path))
        column = next((name for name in _SCORES if name in table), None) if "index" in table else None
        if column is None:
            continue
        scores = {str(i): number(v) for i, v in zip(table["index"], table[column], strict=True)}
        reading = next((name for name in ("extracted", "extracted_answer", "log", "res") if name in table), None)
        read = {str(i): str(v) for i, v in zip(table["index"], table[reading], strict=True)} if reading else {}
        return {name: value for name, value in scores.items() if value is not None}, read
    return {}, {}


if __name__ == "__main__":
    run_job({"list": list_tasks, "prepare": prepare, "score": score})
