"""The one loop: requests -> responses -> verdicts -> store.

A response is stored before it is scored, and what is stored is never inferred again: killed at any moment, a rerun
goes on and ends with the same numbers. All tasks of a model go through one stream of requests, so that an engine
always has a full batch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness import interrupt, registry
from harness.api import OFFICIAL, Judge, Model, Request, Response, Rules, Sample, Task
from harness.code import code_fingerprint, sample_code
from harness.data import Dataset, open_dataset
from harness.data.subset import subset
from harness.memory import peak_memory
from harness.progress import Silent, Watcher
from harness.scoring.reasoning import REASONING_TAGS
from harness.scoring.score import open_judge
from harness.store import Cell, LoadedRun, Result, Store, load_run, request_key
from harness.store.frames import export, is_exported
from harness.store.manifest import describe, is_current, write_manifest
from harness.stored import score_stored

_CHUNK = 256  # samples whose stored responses are looked up together
_FLUSH_RESPONSES, _FLUSH_SECONDS = 64, 1.0  # a kill loses at most so many responses


def evaluate(
    model: Model | str,
    tasks: Sequence[Task | str],
    *,
    out: Path | str | None = None,
    backend: str = "hf",
    data: str | Path = "mini",
    protocol: str = OFFICIAL,
    judge: Judge | str = "rule",
    limit: int | None = None,
    skip_bad_rows: bool = False,
    progress: Watcher | None = None,
    **options: Any,
) -> LoadedRun:
    """Evaluate one model on tasks and return the run.

    `model` is a Model, or a checkpoint for `backend` (options go to it); `out` the run folder, resumed if it holds
    finished work (None: a new temporary folder). Raises HarnessError for what the user can mend.
    """
    folder = Path(tempfile.mkdtemp(prefix="harness-run-")) if out is None else Path(out)
    with Store(folder) as store:
        opened = registry.load("models", backend)(model, **options) if isinstance(model, str) else model
        evaluator = Evaluator(
            store, data=data, protocol=protocol, judge=judge, limit=limit, skip_bad_rows=skip_bad_rows,
            progress=progress,
        )  # fmt: skip
        evaluator.evaluate(opened, tasks)
        finish_run(store, {"model": opened.name, "data": str(data), "protocol": protocol, "limit": limit})
    return load_run(folder)


def finish_run(store: Store, arguments: Mapping[str, Any]) -> bool:
    """Export the tables and write the manifest, last of all; False where both are there and would say the same."""
    manifest = describe(store, arguments)
    if is_exported(store) and is_current(store, manifest):
        return False
    export(store)
    write_manifest(store, manifest)
    return True


@runtime_checkable
class Expecting(Protocol):
    """A model that wants to see what it will be asked before it is asked (an engine that starts for it)."""

    def expect(self, requests: Iterable[Request]) -> None:
        """Told once before `generate`, with every request that has no stored response."""


class Spending(Protocol):
    """What a model has spent so far."""

    def counts(self) -> dict[str, float]:
        """Sums by name."""
        ...


@runtime_checkable
class Metered(Protocol):
    """A model that counts what it spends; the run records it."""

    name: str
    usage: Spending


@dataclass(slots=True)
class _Plan:
    """A task to do for a model: the items, the keys of those already fed, how many answers are still out."""

    task: Task
    rules: Rules
    samples: Sequence[Sample]
    dataset: Dataset
    cell: Cell
    code: str
    keys: list[bytes] = field(default_factory=list)
    missing: int = 0
    inferred: int = 0
    tokens: int = 0
    started: float = 0.0
    result: Result | None = None

    @property
    def answered(self) -> bool:
        """Whether every item has a stored response."""
        return len(self.keys) == len(self.samples) and self.missing == 0


class Evaluator:
    """Evaluates models on tasks into one store; data sets stay open between models, so a further stage is cheap."""

    def __init__(
        self,
        store: Store,
        *,
        data: str | Path = "mini",
        protocol: str = OFFICIAL,
        judge: Judge | str = "rule",
        limit: int | None = None,
        skip_bad_rows: bool = False,
        reasoning_tags: Sequence[tuple[str, str]] = REASONING_TAGS,
        progress: Watcher | None = None,
    ) -> None:
        self.store = store
        self.protocol = protocol
        self.judge = open_judge(judge)
        self._data, self._limit, self._skip = data, limit, skip_bad_rows
        self._tags = reasoning_tags
        self._progress: Watcher = progress or Silent()
        store.set_meta(data=str(data))  # where the report finds the images
        self._opened: dict[str, tuple[Dataset, Sequence[Sample]]] = {}

    def using(self, *, limit: int | None) -> Evaluator:
        """An evaluator of the same store, data, protocol and judge over about `limit` items a task (None: all)."""
        if limit == self._limit:
            return self
        return Evaluator(
            self.store, data=self._data, protocol=self.protocol, judge=self.judge, limit=limit,
            skip_bad_rows=self._skip, reasoning_tags=self._tags, progress=self._progress,
        )  # fmt: skip

    def evaluate(
        self,
        model: Model,
        tasks: Sequence[Task | str],
        *,
        label: str | None = None,
        stage: Mapping[str, Any] | None = None,
    ) -> list[Result]:
        """Results of the tasks, in order. `label` names the model in tables; `stage` is kept with each result."""
        plans = [self._plan(model, label or model.name, task) for task in tasks]
        todo = [plan for plan in plans if plan.result is None]
        if todo:
            self._infer(model, todo, stage or {})
        return [plan.result for plan in plans if plan.result is not None]

    # ------------------------------------------------------------ planning

    def open(self, task: Task) -> tuple[Dataset, Sequence[Sample]]:
        """The task's data set and the items of it that this evaluation uses."""
        if task.name not in self._opened:
            dataset = open_dataset(task, self._data, skip_bad_rows=self._skip)
            samples = subset(dataset, self._limit, task.facets[0] if task.facets else None)
            content = f"{dataset.sha256} {sample_code(task)}"
            self.store.add_samples(task.name, samples, of=content, part=str(self._limit))
            self._opened[task.name] = dataset, samples
        return self._opened[task.name]

    def _plan(self, model: Model, label: str, named: Task | str) -> _Plan:
        task = registry.task(named) if isinstance(named, str) else named
        rules = registry.rules(task, self.protocol)
        dataset, samples = self.open(task)
        cell = Cell(label, task.name, self.protocol, self.judge.name)
        plan = _Plan(task, rules, samples, dataset, cell, code_fingerprint(task, rules))
        old = self.store.result(cell)
        if old and self._still_holds(old, plan, model):
            plan.result = old
            self._progress.task_finished(old)
        return plan

    @staticmethod
    def _still_holds(old: Result, plan: _Plan, model: Model) -> bool:
        """Whether a stored result is what this run would compute: same model, items and rules, nothing failed."""
        same = (old.fingerprint, old.data_sha256, old.code, old.items) == (
            model.fingerprint(), plan.dataset.sha256, plan.code, len(plan.samples),
        )  # fmt: skip
        return same and not old.errors and not old.states.get("judge_failed")

    # ------------------------------------------------------------ inference

    def _infer(self, model: Model, plans: list[_Plan], stage: Mapping[str, Any]) -> None:
        """Feed what has no response yet to the model; score each task as soon as it is answered."""
        fingerprint = model.fingerprint()
        inbox = _Inbox(self.store, self._progress, model)
        if isinstance(model, Expecting):
            model.expect(self._missing(fingerprint, plans))
        scored = 0
        with interrupt.finishing():
            try:
                for index, response in model.generate(interrupt.until_asked(inbox.feed(fingerprint, plans))):
                    inbox.arrived(index, response)
                    while scored < len(plans) and plans[scored].answered:
                        inbox.flush()
                        self._score(plans[scored], fingerprint, stage)
                        scored += 1
            finally:
                inbox.flush()
        for plan in plans[scored:]:
            self._score(plan, fingerprint, stage)

    def _missing(self, fingerprint: str, plans: Iterable[_Plan]) -> Iterator[Request]:
        """Requests of the plans that have no stored response."""
        for plan in plans:
            for start in range(0, len(plan.samples), _CHUNK):
                requests = [plan.rules.request(sample) for sample in plan.samples[start : start + _CHUNK]]
                keys = [request_key(fingerprint, request) for request in requests]
                stored = self.store.answered(keys)
                yield from (request for request, key in zip(requests, keys, strict=True) if key not in stored)

    # ------------------------------------------------------------ scoring

    def _score(self, plan: _Plan, fingerprint: str, stage: Mapping[str, Any]) -> None:
        plan.result = score_stored(
            plan.cell, plan.rules, plan.samples, plan.keys, self.store, self.judge, self._tags,
            fingerprint=fingerprint, edition=plan.dataset.edition, data_sha256=plan.dataset.sha256, code=plan.code,
            skipped_rows=plan.dataset.skipped, inferred=plan.inferred, tokens=plan.tokens,
            seconds=time.monotonic() - plan.started, stage=stage, memory=peak_memory(),
        )  # fmt: skip
        self._progress.task_finished(plan.result)


class _Inbox:
    """Between the plans and the model: gives out what is missing, keeps what arrives, in small transactions."""

    def __init__(self, store: Store, progress: Watcher, model: Model) -> None:
        self._store, self._progress = store, progress
        self._model = model
        self._spent = model.usage.counts() if isinstance(model, Metered) else {}
        self._sent: dict[int, bytes] = {}
        self._waiting: dict[bytes, list[_Plan]] = {}
        self._buffer: list[tuple[bytes, Response]] = []
        self._flushed = time.monotonic()

    def feed(self, fingerprint: str, plans: Iterable[_Plan]) -> Iterator[Request]:
        """Requests without a stored response, task by task; the same content is given out once."""
        count = 0
        for plan in plans:
            plan.started = time.monotonic()
            self._progress.task_started(plan.cell.model, plan.task.name, len(plan.samples))
            for start in range(0, len(plan.samples), _CHUNK):
                requests = [plan.rules.request(sample) for sample in plan.samples[start : start + _CHUNK]]
                keys = [request_key(fingerprint, request) for request in requests]
                self.flush()
                stored = self._store.answered(keys)
                # A plan counts as answered only when its keys are complete, so the missing ones come first.
                new = [key not in stored for key in keys]
                plan.missing += sum(new)
                plan.keys.extend(keys)
                self._progress.advanced(plan.cell.model, plan.task.name, len(keys) - sum(new))
                for request, key, missing in zip(requests, keys, new, strict=True):
                    if not missing:
                        continue
                    self._waiting.setdefault(key, []).append(plan)
                    if len(self._waiting[key]) == 1:
                        self._sent[count] = key
                        yield request
                        count += 1

    def arrived(self, index: int, response: Response) -> None:
        """Keep a response and tell the plans that wait for it."""
        key = self._sent.pop(index)
        waiting = self._waiting.pop(key)
        self._buffer.append((key, response))
        for plan in waiting:
            plan.missing -= 1
            self._progress.advanced(plan.cell.model, plan.task.name, 1)
        waiting[0].inferred += 1
        waiting[0].tokens += len(response.token_ids)
        if len(self._buffer) >= _FLUSH_RESPONSES or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Commit what has arrived."""
        if self._buffer:
            self._store.add_responses(self._buffer)
            self._buffer = []
        if isinstance(self._model, Metered):
            counts = self._model.usage.counts()
            new = {name: value - self._spent.get(name, 0) for name, value in counts.items()}
            if any(new.values()):
                self._store.add_usage(self._model.name, new)
                self._spent = counts
        self._flushed = time.monotonic()
