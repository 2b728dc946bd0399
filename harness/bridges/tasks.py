"""A framework's task as a Task of ours: `lmms-eval:mme`, `vlmeval:HallusionBench`, `lmms-eval:mme/mme_cognition_score`.

Its items are the requests that the framework writes, its rules are the framework's own code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness import api
from harness.api import HarnessError, Judge, Metrics, Request, Response, Row, Rules, Sample, State, Task, Unit, Verdict
from harness.bridges.environments import FRAMEWORKS, Framework, bridge_code
from harness.bridges.foreign.files import DATA, METRICS, VERDICTS, read_lines, write_lines
from harness.bridges.worker import HUB, run_worker
from harness.folders import cache_folder
from harness.scoring.aggregate import micro, standard_error
from harness.scoring.verdicts import unread

_DATA_FILES = ("*.tsv", "*.yaml", "*.yml", "*.py", "*.parquet", "*.json", "*.jsonl", "*.arrow")
_NAME = re.compile(r"\w[\w.+-]*(/\w[\w.+ |:@%-]*)?")


def lmms_eval_task(name: str) -> Task:
    """The task `lmms-eval:NAME[/METRIC]`; the metric is lmms-eval's first where none is named."""
    return _task(FRAMEWORKS["lmms-eval"], name)


def vlmeval_task(name: str) -> Task:
    """The dataset `vlmeval:NAME[/METRIC]`; the metric is VLMEvalKit's first where none is named."""
    return _task(FRAMEWORKS["vlmeval"], name)


def _task(framework: Framework, name: str) -> Task:
    if not _NAME.fullmatch(name):
        form = f"the form is {framework.name}:TASK or {framework.name}:TASK/METRIC"
        raise HarnessError(f"{framework.name}:{name} names no task", form)
    task, _, metric = name.partition("/")
    whole = partial(score_task, framework, task, metric)
    return Task(
        name=f"{framework.name}:{name}",
        title=f"{name} ({framework.name})",
        tsv=api.TsvFile(f"{framework.name} has no table of {task} here"),
        hub=api.HubSet(""),
        from_tsv=from_row,
        from_hub=from_row,
        rules={
            api.OFFICIAL: Rules(
                request=request,
                score=partial(_score_one, whole),
                aggregate=micro(),
                source=f"{framework.requirements[0]}, its own code in its own environment",
                whole=whole,
            )
        },
        description=f"as {framework.requirements[0]} asks and scores it",
        prepare=partial(prepare, framework, task),
    )


# ---------------------------------------------------------------- items


def from_row(row: Row) -> Sample:
    """An item that the framework wrote: the prompt is the question, the request itself stands in meta."""
    stated = json.loads(str(row["request"]))
    meta = {"request": stated, "made_by": str(row["made_by"]), "set": str(row["set"])}
    return Sample(str(row["index"]), str(row["question"]), str(row["answer"] or ""), tuple(row["image"]), meta=meta)


def request(sample: Sample) -> Request:
    """What the framework wrote, word for word, with our settings where it states none."""
    stated = sample.meta["request"]
    images = iter(sample.images)
    return read_request(stated, [next(images) if part is None else part for part in stated["parts"]])


def read_request(stated: Mapping[str, Any], parts: Sequence[Any]) -> Request:
    """A request of the bridge's files (see harness/bridges/foreign/files.py) with its images in place."""
    settings = dict(stated["generation"])
    if "stop" in settings:
        settings["stop"] = tuple(settings["stop"])
    return Request(tuple(parts), api.Generation(**settings), stated["system"])


def prepare(framework: Framework, task: str, data: str) -> Path:
    """The data.jsonl of a task, written by the framework once for a state of the data.

    Raises HarnessError where there is no such task, or nothing to read it from.
    """
    if data == "mini":
        raise HarnessError(
            f"{framework.name}:{task} has no mini edition",
            "--data hub lets the framework fetch its data, --data FOLDER names a folder that holds them",
        )
    if data != HUB and not Path(data).is_dir():
        raise HarnessError(f"there is no folder {data}", f"--data FOLDER names where {framework.name} finds its data")
    folder = _place(framework, task, data)
    if not (folder / DATA).exists():
        made = folder.with_name(f"making-{uuid.uuid4().hex}")
        try:
            job = {"action": "prepare", "task": task, "out": str(made), "made_by": _made_by(framework)}
            run_worker(framework, made, job, data)
            _sign(made / DATA)
            if not folder.exists():
                made.rename(folder)
        except HarnessError as error:
            kept = folder.with_name(f"failed-{task}.log")
            shutil.copyfile(made / "log.txt", kept) if (made / "log.txt").exists() else None
            raise HarnessError(error.message, error.remedy.replace(str(made / "log.txt"), str(kept))) from error
        finally:
            shutil.rmtree(made, ignore_errors=True)
    source = _source_of(framework, next(read_lines(folder / DATA))["set"])
    source.parent.mkdir(exist_ok=True)
    source.write_text(data if data == HUB else str(Path(data).resolve()))
    return folder / DATA


def _sign(path: Path) -> None:
    """Write the digest of all items into each: scoring finds the framework's data by it, wherever they lie."""
    lines = list(read_lines(path))
    digest = hashlib.sha256(json.dumps(lines).encode()).hexdigest()
    write_lines(path, ({**line, "set": digest} for line in lines))


def _source_of(framework: Framework, digest: str) -> Path:
    return cache_folder() / "bridges" / framework.name / "sets" / f"{digest}.txt"


def _data_of(framework: Framework, task: str, items: Sequence[tuple[Sample, Response]]) -> str:
    """Where the framework's data of these items lie on this machine."""
    digest = items[0][0].meta["set"] if items else ""
    source = _source_of(framework, digest)
    if not source.exists():
        raise HarnessError(
            f"the data behind these items of {framework.name}:{task} is not known on this machine, or has changed",
            f"prepare it: harness run --tasks {framework.name}:{task} --data FOLDER --model ... , then score again",
        )
    return source.read_text()


def _made_by(framework: Framework) -> str:
    return f"{framework.requirements[0]} bridge {bridge_code()}"


def _place(framework: Framework, task: str, data: str) -> Path:
    """A folder per framework version, task and state of the data: files of a folder by size and time."""
    state = [_made_by(framework), task, data]
    if data != HUB:
        root = Path(data).resolve()
        found = sorted({path for pattern in _DATA_FILES for path in root.rglob(pattern)})
        stats = [(path, os.stat(path)) for path in found]
        state = [*state, str(root), *(f"{path} {s.st_size} {s.st_mtime_ns}" for path, s in stats)]
    digest = hashlib.sha256("\0".join(state).encode(errors="surrogateescape")).hexdigest()[:12]
    return cache_folder() / "bridges" / framework.name / f"{framework.name}-{framework.version}_{task}_{digest}"


# ---------------------------------------------------------------- scoring


def score_task(
    framework: Framework, task: str, metric: str, items: Sequence[tuple[Sample, Response]], judge: Judge
) -> tuple[list[Verdict], Metrics]:
    """Verdicts and metrics of a task's answers by the framework's own code; the answers decide where they are kept.

    The judge `openai:MODEL` is handed to VLMEvalKit by name; lmms-eval's judges are set by its own environment.
    """
    named = judge.name.removeprefix("openai:") if judge.name.startswith("openai:") else "exact_matching"
    lines = [{"index": s.id, "text": response.text, "cluster": s.cluster or s.id} for s, response in items]
    data = _data_of(framework, task, items)
    state = json.dumps([_made_by(framework), task, metric, named, data, lines])
    digest = hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    folder = cache_folder() / "bridges" / framework.name / f"scores_{task}_{digest}"
    if not (folder / METRICS).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        answers = folder / "answers.jsonl"
        write_lines(answers, lines)
        job = {"action": "score", "task": task, "metric": metric, "out": str(folder), "answers": str(answers),
               "judge": named}  # fmt: skip
        run_worker(framework, folder, job, data)
    stated = {line["index"]: line for line in read_lines(folder / VERDICTS)}
    verdicts = [_verdict(stated[sample.id], response) for sample, response in items]
    return verdicts, _metrics(json.loads((folder / METRICS).read_text()), framework)


def _score_one(whole: Any, sample: Sample, response: Response) -> Verdict:
    """One item by itself, for `harness explain`: the same code on a set of one."""
    from harness.judge.rule import open_judge

    verdicts, _ = whole([(sample, response)], open_judge())
    found: Verdict = verdicts[0]
    return found


def _verdict(stated: Mapping[str, Any], response: Response) -> Verdict:
    """The framework's score of an item under the name of its metric, as the framework states it."""
    if response.finish == "error":
        return unread(response)
    metric, record = str(stated["metric"]), stated.get("record")
    note = json.dumps(record, ensure_ascii=False)[:1000] if isinstance(record, dict | list) else ""
    if stated["score"] is None:
        note = "the framework states no score of the item by itself"
        return Verdict(State.UNPARSED, 0.0, str(stated["extracted"]), metric, note=note)
    return Verdict(State.SCORED, float(stated["score"]), str(stated["extracted"]), metric, note=note)


def _metrics(stated: Mapping[str, Any], framework: Framework) -> Metrics:
    """The headline metric as the score, its units, and every metric of the framework, as stated, as a table."""
    units = [Unit(name, cluster, score, 1 / len(stated["units"])) for name, cluster, score in stated["units"]]
    error = 100 * standard_error(units, stated["score"] / 100) if units else float("nan")
    names = dict.fromkeys([stated["headline"], *stated["metrics"]])
    table = {name: api.Group(stated["metrics"][name], len(units)) for name in names}
    return Metrics(stated["score"], error, len(units), {f"{framework.name} metric": table}, tuple(units))


def task_names(framework: str, data: str = HUB) -> list[str]:
    """Names of a framework's tasks. Raises HarnessError where it is not installed."""
    found = FRAMEWORKS[framework]
    folder = cache_folder() / "bridges" / framework / f"making-{uuid.uuid4().hex}"
    out = folder / "tasks.jsonl"
    try:
        run_worker(found, folder, {"action": "list", "out": str(out)}, data)
        return sorted(str(line["task"]) for line in read_lines(out))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
