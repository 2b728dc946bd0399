"""How far a judge can be trusted: its verdicts against known ones, and what it said in a run.

Only responses on which a rule asks the judge count: what a rule decides by itself has no judge's error. What the judge
does not read scores 0, as it does in a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import registry
from harness.api import OFFICIAL, Ask, HarnessError, Judge, Response, Rules, Sample, State, Verdict
from harness.judge.recorded import NAME as RECORDED
from harness.rescore import sources
from harness.scoring.reasoning import REASONING_TAGS
from harness.scoring.score import score_all
from harness.stats.judge_error import Calibration, calibrate
from harness.store import Cell, Store
from harness.stored import stored_answers

#: A score from which on an item counts as right; grades between 0 and 1 are cut here.
THRESHOLD = 0.5


@dataclass(frozen=True)
class Labelled:
    """A response of known score: `model` gave it ("" where that is not known)."""

    task: str
    model: str
    sample: Sample
    response: Response
    score: float


@dataclass(frozen=True)
class Judged:
    """What a judge said about the labelled responses to a task, one entry a response, failures left out."""

    task: str
    items: tuple[Labelled, ...]
    scores: tuple[float, ...]
    failed: int

    def calibration(self, threshold: float = THRESHOLD, model: str | None = None) -> Calibration:
        """Right and wrong against the labels, of one model's responses or (None) of all."""
        pairs = [(i.score, s) for i, s in zip(self.items, self.scores, strict=True) if model in (None, i.model)]
        return calibrate([label >= threshold for label, _ in pairs], [said >= threshold for _, said in pairs])

    def models(self) -> set[str]:
        """The models whose responses are labelled."""
        return {item.model for item in self.items}


# ---------------------------------------------------------------- labels


def labels_of_run(folder: Path, reference: str = RECORDED, protocol: str = OFFICIAL) -> list[Labelled]:
    """The items of a run on which the judge `reference` decided under a protocol."""
    found: list[Labelled] = []
    with Store(folder, write=False) as store:
        cells = [result.cell for result in store.results() if result.cell.judge == reference]
        for cell in cells:
            if cell.protocol == protocol:
                found.extend(_labelled(store, cell))
    if not found:
        raise HarnessError(
            f"{folder} has no item that the judge {reference!r} decided under the protocol {protocol}",
            f"`harness score {folder} --protocol {protocol} --judge {reference}`, or import a run with its grades "
            "(`harness import`)",
        )
    return found


def _labelled(store: Store, cell: Cell) -> Iterator[Labelled]:
    rules = _rules(cell.task, cell.protocol)
    for sample, response, verdict in _scored(store, cell):
        # What the reference did not read is wrong in truth, too; only where it failed the truth is not known.
        if verdict.state not in (State.JUDGE_FAILED, State.ERROR) and asks_judge(rules, sample, response):
            yield Labelled(cell.task, cell.model, sample, response, verdict.score)


def _scored(store: Store, cell: Cell) -> Iterator[tuple[Sample, Response, Verdict]]:
    """The items of a cell as they were scored."""
    rows = store.verdicts(cell)
    kept = store.samples(cell.task)
    answers = stored_answers(store, [kept[id] for id, _, _ in rows], [key for _, key, _ in rows], REASONING_TAGS)
    for (sample, response), (_, _, verdict) in zip(answers, rows, strict=True):
        yield sample, response, verdict


def _rules(task: str, protocol: str) -> Rules:
    return registry.rules(registry.task(task), protocol)


def asks_judge(rules: Rules, sample: Sample, response: Response) -> bool:
    """Whether the rules leave a response to the judge."""
    outcome = rules.score(sample, response) if response.finish != "error" else None
    if outcome is None or isinstance(outcome, Verdict):
        return False
    first = next(outcome, None)
    outcome.close()
    return isinstance(first, Ask) and not first.recorded_only


def labels_of_file(path: Path) -> list[Labelled]:
    """Lines of JSON: task, question, answer, response, score in [0, 1]; optional id, model, choices, meta."""
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(
            f"the labels {path} cannot be read: {error}", "give a run folder or a JSON lines file"
        ) from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_label(json.loads(line), number))
            except (ValueError, KeyError, TypeError) as error:
                problem = f"no field {error}" if isinstance(error, KeyError) else str(error)
                raise HarnessError(
                    f"{path}:{number}: {problem}", "a line needs task, question, answer, response and score in [0, 1]"
                ) from error
    if not found:
        raise HarnessError(f"{path} has no labels", "write one JSON object a line")
    return found


def _label(row: dict[str, Any], number: int) -> Labelled:
    score = float(row["score"])
    if not 0 <= score <= 1:
        raise ValueError(f"the score {score} is not in [0, 1]")
    sample = Sample(
        str(row.get("id", number)), str(row["question"]), str(row["answer"]), choices=row.get("choices", {}),
        meta=row.get("meta", {}),
    )  # fmt: skip
    return Labelled(str(row["task"]), str(row.get("model", "")), sample, Response(str(row["response"])), score)


# ---------------------------------------------------------------- the judge on labelled items


def judge_labels(labels: Sequence[Labelled], judge: Judge, protocol: str = OFFICIAL) -> list[Judged]:
    """The judge's scores of the labelled responses that a protocol leaves to it, task by task."""
    found = []
    for task in dict.fromkeys(label.task for label in labels):
        rules = _rules(task, protocol)
        items = [x for x in labels if x.task == task and asks_judge(rules, x.sample, x.response)]
        verdicts = dict(score_all(rules, [(item.sample, item.response) for item in items], judge))
        kept = [i for i in range(len(items)) if verdicts[i].state is not State.JUDGE_FAILED]
        scores = tuple(verdicts[i].score for i in kept)
        found.append(Judged(task, tuple(items[i] for i in kept), scores, len(items) - len(kept)))
    return found


# ---------------------------------------------------------------- runs that the judge scored


@dataclass(frozen=True)
class JudgedCell:
    """A model's scores on a task: those that rules gave, and by item those left to the judge, with the responses.

    Items on which the judge failed are counted and left out.
    """

    model: str
    task: str
    by_rule: tuple[float, ...]
    by_judge: dict[str, float]
    responses: dict[str, str]
    failed: int


def judged_cells(folder: Path, judge: str, tasks: set[str], protocol: str = OFFICIAL) -> list[JudgedCell]:
    """What the judge said in a run under a protocol; HarnessError if it scored none of the tasks there."""
    with Store(folder, write=False) as store:
        scored = {r.cell for r in store.results()}
        wanted = [Cell(s.cell.model, s.cell.task, protocol, judge) for s in sources(store) if s.cell.task in tasks]
        found = [_judged_cell(store, cell) for cell in wanted if cell in scored]
    if not found:
        raise HarnessError(
            f"in {folder} the judge {judge!r} scored none of {', '.join(sorted(tasks))} under the protocol {protocol}",
            f"`harness score {folder} --protocol {protocol} --judge {judge}`",
        )
    return found


def _judged_cell(store: Store, cell: Cell) -> JudgedCell:
    rules = _rules(cell.task, cell.protocol)
    ruled: list[float] = []
    judged: dict[str, tuple[float, str]] = {}
    failed = 0
    for sample, response, verdict in _scored(store, cell):
        if not asks_judge(rules, sample, response):
            ruled.append(verdict.score)
        elif verdict.state is State.JUDGE_FAILED:
            failed += 1
        else:
            judged[sample.id] = verdict.score, response.text
    scores = {id: score for id, (score, _) in judged.items()}
    return JudgedCell(
        cell.model, cell.task, tuple(ruled), scores, {id: text for id, (_, text) in judged.items()}, failed
    )
