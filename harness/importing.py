"""What another framework stored becomes a run: its responses are kept and scored, and can be scored again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from harness import registry
from harness.api import OFFICIAL, HarnessError, Judge, Sample, Task
from harness.code import code_fingerprint
from harness.data.imports.samples import Imported
from harness.judge.recorded import keep_answers, recorded_judge
from harness.scoring.score import open_judge
from harness.store import Cell, Result, Store
from harness.stored import score_stored


def import_responses(store: Store, task: Task, model: str, imported: Imported, protocol: str = OFFICIAL) -> Result:
    """Keep the responses as those of `model` and score them under a protocol.

    The judge is `recorded` where the file states what upstream's judge answered (kept for `harness score --judge
    recorded`), else `rule`. Raises HarnessError if the run has other items under the same names.
    """
    _check_items(store, task, imported.samples)
    fingerprint = _digest([[s.id, r.text, r.error] for s, r in zip(imported.samples, imported.responses, strict=True)])
    keys = [_key(fingerprint, task.name, sample.id) for sample in imported.samples]
    store.add_samples(task.name, imported.samples)
    store.add_responses(zip(keys, imported.responses, strict=True))
    judge: Judge = open_judge("rule")
    if imported.judged:
        keep_answers(store, model, task.name, imported.judged)
        judge = recorded_judge(store, model, task.name)
    rules = registry.rules(task, protocol)
    return score_stored(
        Cell(model, task.name, protocol, judge.name), rules, imported.samples, keys, store, judge,
        fingerprint=fingerprint, edition=imported.edition,
        data_sha256=_digest([_content(sample) for sample in imported.samples]), code=code_fingerprint(task, rules),
    )  # fmt: skip


def _key(fingerprint: str, task: str, sample: str) -> bytes:
    """Which prompt was answered is not known: an imported response is the file's answer to the item."""
    return hashlib.sha256(json.dumps(["imported", fingerprint, task, sample]).encode()).digest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _content(sample: Sample) -> list[object]:
    return [sample.id, sample.question, sample.answer, dict(sample.choices)]


def _check_items(store: Store, task: Task, samples: Sequence[Sample]) -> None:
    """A run has one item of a name: an import may not change what was asked of other models."""
    kept = store.samples(task.name)
    for sample in samples:
        old = kept.get(sample.id)
        if old is not None and _content(old) != _content(sample):
            raise HarnessError(
                f"the run {store.folder} has another item {sample.id} of {task.name}", "import into a run of its own"
            )
