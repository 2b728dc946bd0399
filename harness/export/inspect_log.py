"""Inspect's log (.eval): a zip of JSON files that `inspect view` opens, a sample a file, images as data URLs."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__
from harness.api import State
from harness.export.answers import Answer, Answers, file_name
from harness.report.samples import media_type

_VERSION = 2  # of Inspect's log format
_STOP = {"stop": "stop", "length": "max_tokens", "error": "unknown"}
_SCORER = "harness"


def write(cells: Sequence[Answers], out: Path) -> list[Path]:
    """STAMP_TASK_MODEL.eval for each cell.

    Prompt, images, response, the verdict with its rule, and the cell's provenance are in it.
    """
    now = datetime.now(UTC)
    return [_write_log(cell, out, now) for cell in cells]


def _write_log(cell: Answers, out: Path, now: datetime) -> Path:
    task = file_name(cell.result.cell.task)
    path = out / f"{now.strftime('%Y-%m-%dT%H-%M-%S+00-00')}_{task}_{cell.model}.eval"
    part = path.with_name(f".{path.name}.part")
    created, ids, summaries = now.isoformat(timespec="seconds"), [], []
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as log:
        for answer in cell:
            sample = _sample(cell, answer)
            ids.append(answer.sample.id)
            summaries.append(_summary(sample, answer.sample.question))
            log.writestr(f"samples/{answer.sample.id.replace('/', '_')}_epoch_1.json", _json(sample))
        spec, plan = _spec(cell, created, ids), {"name": "harness", "steps": [], "config": {}}
        header = {"version": _VERSION, "status": "success", "eval": spec, "plan": plan, "results": _results(cell),
                  "stats": {"started_at": created, "completed_at": created, "model_usage": {}}}  # fmt: skip
        log.writestr("_journal/start.json", _json({"version": _VERSION, "eval": spec, "plan": plan}))
        log.writestr("summaries.json", _json(summaries))
        log.writestr("header.json", _json(header))
    return part.replace(path)


def _sample(cell: Answers, answer: Answer) -> dict[str, Any]:
    sample, response, verdict = answer.sample, answer.response, answer.verdict
    asked = cell.request(sample)
    content = [
        {"type": "text", "text": one} if isinstance(one, str) else {"type": "image", "image": _data_url(one.read())}
        for one in asked.parts
    ]
    turns: list[dict[str, Any]] = [{"role": "system", "content": asked.system}] if asked.system else []
    turns.append({"role": "user", "content": content, "source": "input"})
    model = cell.result.cell.model
    said = {"role": "assistant", "content": response.text, "source": "generate", "model": model}
    usage = {"input_tokens": response.prompt_tokens, "output_tokens": len(response.token_ids),
             "total_tokens": response.prompt_tokens + len(response.token_ids)}  # fmt: skip
    failure = {"message": response.error, "traceback": "", "traceback_ansi": ""}
    choice = {"message": said, "stop_reason": _STOP.get(response.finish, "unknown")}
    output = {"model": model, "choices": [choice], "usage": usage, "error": response.error or None}
    return {
        "id": sample.id, "epoch": 1, "input": turns, "target": sample.answer, "messages": [*turns, said],
        "choices": list(sample.choices.values()) or None, "output": output, "scores": {_SCORER: _score(answer)},
        "metadata": {"cluster": sample.cluster, "images": [image.sha256 for image in sample.images]},
        "store": {}, "events": [], "model_usage": {model: usage}, "attachments": {},
        "error": failure if verdict.state == State.ERROR else None,
    }  # fmt: skip


def _score(answer: Answer) -> dict[str, Any]:
    verdict = answer.verdict
    note = f"{verdict.state} by {verdict.rule or 'no rule'}" + (f": {verdict.note}" if verdict.note else "")
    return {
        "value": verdict.score, "answer": verdict.extracted, "explanation": note,
        "metadata": {"state": str(verdict.state), "rule": verdict.rule, "random": verdict.random},
    }  # fmt: skip


def _summary(sample: Mapping[str, Any], question: str) -> dict[str, Any]:
    kept = {name: sample[name] for name in ("id", "epoch", "choices", "target", "scores", "model_usage")}
    error = sample["error"]
    return {**kept, "input": question, "metadata": {}, "completed": True, "message_count": len(sample["messages"]),
            "error": error["message"] if error else None}  # fmt: skip


def _spec(cell: Answers, created: str, ids: Sequence[str]) -> dict[str, Any]:
    result = cell.result
    name = hashlib.sha256(json.dumps([*result.cell, result.fingerprint, created]).encode()).hexdigest()
    return {
        "eval_id": name[:22], "run_id": name[22:44], "task_id": name[42:64], "created": created,
        "task": result.cell.task, "task_version": 0, "task_args": {"protocol": result.cell.protocol},
        "dataset": {"name": result.edition, "samples": len(ids), "sample_ids": ids, "shuffled": False},
        "model": result.cell.model, "config": {}, "packages": {"masters-harness": __version__},
        "metadata": {
            "protocol": result.cell.protocol, "judge": result.cell.judge, "fingerprint": result.fingerprint,
            "data_sha256": result.data_sha256, "code": result.code,
        },
    }  # fmt: skip


def _results(cell: Answers) -> dict[str, Any]:
    metrics = cell.result.metrics
    stated = {"score": metrics.score, "stderr": metrics.stderr}
    for facet, table in metrics.groups.items():
        stated |= {f"{facet} {name}": group.score for name, group in table.items()}
    numbers = {name: {"name": name, "value": value} for name, value in stated.items() if value == value}
    score = {"name": _SCORER, "scorer": cell.result.cell.protocol, "scored_samples": cell.result.items,
             "unscored_samples": 0, "metrics": numbers}  # fmt: skip
    return {"total_samples": cell.result.items, "completed_samples": cell.result.items, "scores": [score]}


def _data_url(data: bytes) -> str:
    return f"data:{media_type(data)};base64,{base64.b64encode(data).decode()}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
