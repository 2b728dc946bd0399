"""lmms-eval's side of the bridge: lists tasks, writes a task's requests, scores answers by lmms-eval's own pipeline."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENAI_API_KEY", "none")  # some tasks want one when they are imported; none is sent offline

import datasets
from lmms_eval.api.task import ConfigurableMessagesTask
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.tasks import TaskManager, get_task_dict

from .files import DATA, METRICS, VERDICTS, Record, Refused, item, read_lines, run_job, write_lines
from .lmms_eval_model import Capture, Capturing, Stored
from .metrics import item_score, number, summary


def list_tasks(job: Record) -> None:
    """Names of the tasks, groups left out."""
    manager = TaskManager(include_path=job["data"])
    write_lines(Path(job["out"]), ({"task": name} for name in manager.all_subtasks))


def prepare(job: Record) -> None:
    """data.jsonl: the task's requests as items of our folder format, in the order of its documents."""
    folder = Path(job["out"])
    task = job["task"]
    try:
        _evaluate(Capturing(folder), _manager(job), task)
    except Capture as capture:
        instances = capture.requests
    documents = {str(one.doc_id) for one, _ in instances}
    if len(documents) < len(instances):
        raise Refused(f"{task} asks several requests a document; the bridge asks one")
    goals = _goals(job, [int(one.doc_id) for one, _ in instances])
    asked = zip(instances, goals, strict=True)
    write_lines(folder / DATA, (item(request, goal, job["made_by"]) for (_, request), goal in asked))


def score(job: Record) -> None:
    """verdicts.jsonl and, last, metrics.json: answers scored and counted by lmms-eval, on the documents answered."""
    folder, task = Path(job["out"]), job["task"]
    answers = {line["index"]: line["text"] for line in read_lines(Path(job["answers"]))}
    clusters = {line["index"]: line["cluster"] for line in read_lines(Path(job["answers"]))}
    _only(answers)
    found = _evaluate(Stored(answers), _manager(job), task)
    samples = found["samples"][task][: len(answers)]  # a second filter's records stand behind the first's
    functions = _aggregations(job)
    stated = {key.partition(",")[0]: number(value) for key, value in reversed(found["results"][task].items())}
    metrics = {name: value for name in functions if (value := stated.get(name)) is not None}
    headline = job["metric"] or next(iter(metrics), "")
    if headline not in metrics:
        raise Refused(f"{task} has no metric {headline!r}; it states {', '.join(metrics) or 'none'}")
    records = {str(sample["doc_id"]): {m: sample[m] for m in functions if m in sample} for sample in samples}

    def counted(without: set[str]) -> list[Any]:
        return [record[headline] for name, record in records.items() if headline in record and name not in without]

    count = functions[headline]
    items = {name: item_score(record[headline], count) for name, record in records.items() if headline in record}
    made = summary(metrics[headline], items, clusters, lambda gone: count(counted(gone)), percent=False)
    write_lines(folder / VERDICTS, (_verdict(sample, records, functions, headline) for sample in samples))
    (folder / METRICS).write_text(json.dumps({"headline": headline, "metrics": metrics, **made}), encoding="utf-8")


def _verdict(
    sample: Mapping[str, Any], records: Mapping[str, Record], functions: Mapping[str, Any], headline: str
) -> Record:
    """The item under the headline, or under the first metric that counts it."""
    name = str(sample["doc_id"])
    record = records[name]
    metric = headline if headline in record else next(iter(record), "")
    read = sample["filtered_resps"][0] if sample["filtered_resps"] else ""
    value = item_score(record[metric], functions[metric]) if metric else None
    return {"index": name, "metric": metric, "score": value, "extracted": str(read), "record": record.get(metric)}


def _manager(job: Record) -> TaskManager:
    if job["data"]:
        _local_data(Path(job["data"]))
    manager = TaskManager(include_path=job["data"])
    if job["task"] in manager.all_groups or job["task"] in manager.all_tags:
        members = manager.task_index[job["task"]].get("task")
        names = ",".join(f"lmms-eval:{one}" for one in members) if isinstance(members, list) else "its members"
        raise Refused(f"{job['task']} is a group of tasks: name {names}")
    if job["task"] not in manager.all_tasks:
        raise Refused(f"lmms-eval has no task {job['task']}")
    return manager


def _local_data(folder: Path) -> None:
    """Read data sets from FOLDER/<repository>[/<config>] where it holds them, as --data does for our own tasks."""
    load = datasets.load_dataset
    if getattr(load, "local", None) == folder:
        return

    def loading(path: str, name: str | None = None, **options: Any) -> Any:
        here = folder / path
        if not here.is_dir():
            return load(path, name, **options)
        if name and (here / name).is_dir():
            return load(str(here / name), **options)
        return load(str(here), **options)

    loading.local = folder  # type: ignore[attr-defined]
    datasets.load_dataset = loading


def _evaluate(model: Any, manager: TaskManager, task: str) -> Record:
    """One document after the other, so that random fallbacks draw in the documents' order; no bootstrap."""
    found: Record = simple_evaluate(
        model=model, tasks=[task], task_manager=manager, log_samples=True, bootstrap_iters=0, process_docs_parallel=1
    )
    return found


def _task(job: Record) -> Any:
    return get_task_dict([job["task"]], _manager(job), "chat")[job["task"]]


def _aggregations(job: Record) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _task(job).aggregation()
    return found


def _goals(job: Record, documents: Sequence[int]) -> list[str]:
    task = _task(job)
    docs = task.eval_docs
    return [str(task.doc_to_target(docs[number])) for number in documents]


def _only(answers: Mapping[str, str]) -> None:
    """Build requests of the answered documents only: lmms-eval counts a document without request as not asked."""
    build = ConfigurableMessagesTask.build_all_requests

    def building(self: Any, **arguments: Any) -> None:
        build(self, **arguments)
        self._instances = [one for one in self._instances if str(one.doc_id) in answers]
        missing = Counter(answers.keys()) - Counter(str(one.doc_id) for one in self._instances)
        if missing:
            raise Refused(f"{job_name(self)} has no document {next(iter(missing))}: its data has changed")

    ConfigurableMessagesTask.build_all_requests = building


def job_name(task: Any) -> str:
    """The task's name."""
    return str(task.config.task)


if __name__ == "__main__":
    run_job({"list": list_tasks, "prepare": prepare, "score": score})
