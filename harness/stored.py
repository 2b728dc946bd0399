"""Scores what a run has stored: responses to verdicts, verdicts to numbers, both back into the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.api import Judge, Metrics, Response, Rules, Sample, Scored, Verdict
from harness.scoring.extractor_audit import gold_named, rule_counts
from harness.scoring.reasoning import REASONING_TAGS, strip_reasoning
from harness.scoring.score import score_all
from harness.store import Cell, Result, Store

_CHUNK = 256  # samples whose stored responses are looked up together


def stored_answers(
    store: Store, samples: Sequence[Sample], keys: Sequence[bytes], reasoning_tags: Sequence[tuple[str, str]]
) -> Iterator[tuple[Sample, Response]]:
    """Samples with what rules read of their stored responses, reasoning blocks cut off, a chunk in memory at a time."""
    for start in range(0, len(keys), _CHUNK):
        found = store.texts(keys[start : start + _CHUNK])
        for sample, key in zip(samples[start : start + _CHUNK], keys[start : start + _CHUNK], strict=True):
            said = found[key]
            text = strip_reasoning(said.text, reasoning_tags)
            yield sample, said if text == said.text else replace(said, text=text)


def score_stored(
    cell: Cell, rules: Rules, samples: Sequence[Sample], keys: Sequence[bytes], store: Store, judge: Judge,
    reasoning_tags: Sequence[tuple[str, str]] = REASONING_TAGS, **provenance: Any,
) -> Result:  # fmt: skip
    """Score a cell's stored responses, aggregate, and put the verdicts with their provenance into the store."""
    answers = stored_answers(store, samples, keys, reasoning_tags)
    counted: Metrics | None = None
    if rules.whole is None:
        verdicts, gold_missed = _verdicts(rules, samples, answers, judge)
    else:
        given = list(answers)
        outside, counted = rules.whole(given, judge)
        verdicts = list(outside)
        gold_missed = sum(gold_named(*pair) for pair in _zero(given, verdicts))
    items = [Scored(sample, verdict) for sample, verdict in zip(samples, verdicts, strict=True)]
    metrics = counted or rules.aggregate(items)
    random = sum(verdict.random for verdict in verdicts)
    without = metrics.score
    if random and counted is None:
        wrong = [replace(i, verdict=replace(i.verdict, score=0.0)) if i.verdict.random else i for i in items]
        without = rules.aggregate(wrong).score
    result = Result(
        cell=cell, metrics=metrics, score_without_random=without, items=len(items), random=random,
        states={str(state): n for state, n in Counter(verdict.state for verdict in verdicts).items()},
        rules=rule_counts(verdicts), gold_missed=gold_missed, **provenance,
    )  # fmt: skip
    rows = ((i, s.id, k, v) for i, (s, k, v) in enumerate(zip(samples, keys, verdicts, strict=True)))
    store.put_result(result, rows, metrics.units)
    return result


def _verdicts(
    rules: Rules, samples: Sequence[Sample], answers: Iterable[tuple[Sample, Response]], judge: Judge
) -> tuple[list[Verdict], int]:
    """The verdicts in the samples' order, and how many scored 0 although the response states the gold."""
    undecided: dict[int, Response] = {}
    verdicts: dict[int, Verdict] = {}
    gold_missed = 0

    def passing() -> Iterator[tuple[Sample, Response]]:
        for index, answer in enumerate(answers):
            undecided[index] = answer[1]
            yield answer

    for index, verdict in score_all(rules, passing(), judge):
        verdicts[index] = verdict
        response = undecided.pop(index)
        if verdict.score == 0:
            gold_missed += gold_named(samples[index], response.text)
    return [verdicts[index] for index in range(len(samples))], gold_missed


def _zero(answers: Iterable[tuple[Sample, Response]], verdicts: Iterable[Verdict]) -> Iterator[tuple[Sample, str]]:
    """Samples that scored 0, with what was said."""
    return ((s, r.text) for (s, r), verdict in zip(answers, verdicts, strict=True) if verdict.score == 0)
