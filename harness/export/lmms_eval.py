"""lmms-eval's results: what `lmms-eval --log_samples` would leave behind, readable by `harness import lmms-eval`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from harness import __version__
from harness.export.answers import Answer, Answers, file_name, write_whole


def write(cells: Sequence[Answers], out: Path) -> list[Path]:
    """MODEL/STAMP_samples_TASK.jsonl for each cell and MODEL/STAMP_results.json for each model.

    A line has lmms-eval's fields (doc_id is the item's place, target, filtered_resps, token_counts, doc_hash, input),
    the item's score as `score` (its default score_key) and, as `harness`, id, state, rule and extracted answer.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    written = []
    for model, group in groupby(sorted(cells, key=lambda c: c.result.cell.model), key=lambda c: c.result.cell.model):
        members = list(group)
        folder = out / members[0].model
        for cell in members:
            lines = (json.dumps(_line(cell, answer), ensure_ascii=False) for answer in cell)
            path = folder / f"{stamp}_samples_{_name(cell)}.jsonl"
            written.append(write_whole(path, "".join(f"{line}\n" for line in lines)))
        results = json.dumps(_results(model, members, stamp), indent=2, ensure_ascii=False)
        written.append(write_whole(folder / f"{stamp}_results.json", results + "\n"))
    return written


def _name(cell: Answers) -> str:
    return file_name(cell.result.cell.task.removeprefix("lmms-eval:"))


def _line(cell: Answers, answer: Answer) -> dict[str, Any]:
    sample, response, verdict = answer.sample, answer.response, answer.verdict
    item = json.dumps([sample.id, sample.question, sample.answer, [image.sha256 for image in sample.images]])
    return {
        "doc_id": answer.place,
        "target": sample.answer,
        "filtered_resps": response.text,
        "resps": response.text,
        "token_counts": [{"input_tokens": response.prompt_tokens, "output_tokens": len(response.token_ids)}],
        "doc_hash": hashlib.sha256(item.encode()).hexdigest(),
        "score": verdict.score,
        "harness": {
            "id": sample.id, "state": str(verdict.state), "rule": verdict.rule, "extracted": verdict.extracted,
            "finish": response.finish, "error": response.error, "cluster": sample.cluster,
        },
        "input": sample.question,
    }  # fmt: skip


def _results(model: str, cells: Sequence[Answers], stamp: str) -> dict[str, Any]:
    """Shares as lmms-eval states them, of 1; the metric of a bridged lmms-eval task under its own name."""
    results: dict[str, Any] = {}
    for cell in cells:
        metrics, name = cell.result.metrics, _name(cell)
        own = metrics.groups.get("lmms-eval metric")
        stated = {f"{key},none": group.score for key, group in own.items()} if own else {
            "score,none": metrics.score / 100, "score_stderr,none": metrics.stderr / 100,
        }  # fmt: skip
        results[name] = {"alias": name, **stated}
    return {
        "results": results,
        "group_subtasks": {name: [] for name in results},
        "configs": {_name(c): {"task": _name(c), "metadata": _origin(c)} for c in cells},
        "versions": dict.fromkeys(results, "Yaml"),
        "n-shot": dict.fromkeys(results, 0),
        "higher_is_better": {name: {"score": True} for name in results},
        "n-samples": {_name(c): {"original": c.result.items, "effective": c.result.items} for c in cells},
        "config": {"model": "harness", "model_args": f"model={model}"},
        "model_source": "harness",
        "model_name": model,
        "model_name_sanitized": cells[0].model,
        "date": stamp,
        "lmms_eval_version": f"written by masters-harness {__version__}",
    }


def _origin(cell: Answers) -> dict[str, Any]:
    result = cell.result
    return {"protocol": result.cell.protocol, "judge": result.cell.judge, "data": result.edition,
            "fingerprint": result.fingerprint, "code": result.code}  # fmt: skip
