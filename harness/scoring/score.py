"""Runs a protocol's rules over responses: one response, or a whole task with judge and random fallback."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness import registry
from harness.api import (
    OFFICIAL,
    Ask,
    Judge,
    Pick,
    Response,
    Rules,
    Sample,
    Scoring,
    State,
    Task,
    Verdict,
)
from harness.scoring.verdicts import unread


def score(
    task: Task | str, sample: Sample, response: Response | str, protocol: str = OFFICIAL, judge: Judge | str = "rule"
) -> Verdict:
    """The verdict of one response, without a store.

    A random fallback of the protocol is drawn as if this were the first item to need it; the verdict says `random`.
    """
    task = registry.task(task) if isinstance(task, str) else task
    response = Response(response) if isinstance(response, str) else response
    ((_, verdict),) = score_all(registry.rules(task, protocol), [(sample, response)], open_judge(judge))
    return verdict


def open_judge(judge: Judge | str) -> Judge:
    """A judge by its spec `name` or `name:options` (`rule`, `openai:gpt-4o-mini`, ...), or the judge itself."""
    if not isinstance(judge, str):
        return judge
    name, _, options = judge.partition(":")
    opened: Judge = registry.load("judges", name)(options)
    return opened


class _Open:
    """An item whose rule waits for an answer: `step` is what it asked last, `judge` who has answered it."""

    __slots__ = ("index", "judge", "sample", "scoring", "step")

    def __init__(self, index: int, sample: Sample, scoring: Scoring) -> None:
        self.index, self.sample, self.scoring = index, sample, scoring
        self.step: Ask | Pick | None = None
        self.judge = ""

    def advance(self, answer: str | None) -> Verdict | None:
        """Hand the answer to the rule; its verdict, or None when it asks again."""
        try:
            self.step = self.scoring.send(answer)
        except StopIteration as done:
            verdict: Verdict = done.value
            return replace(verdict, rule=f"{verdict.rule} judge:{self.judge}") if self.judge else verdict
        return None


def score_all(rules: Rules, items: Iterable[tuple[Sample, Response]], judge: Judge) -> Iterator[tuple[int, Verdict]]:
    """Yield (index, verdict): items decided by a rule at once, then those that asked the judge, then random ones.

    Judge questions are collected and answered together, wave by wave (a rule may ask again after an answer). Random
    fallbacks are drawn last, in the protocol's own order, so that they are what upstream's seed gives.
    """
    waiting: list[_Open] = []
    recorded = bool(getattr(judge, "recorded", False))
    for index, (sample, response) in enumerate(items):
        if response.finish == "error":
            yield index, unread(response)
            continue
        outcome = rules.score(sample, response)
        if isinstance(outcome, Verdict):
            yield index, outcome
            continue
        item = _Open(index, sample, outcome)
        verdict = item.advance(None)
        if isinstance(item.step, Ask) and item.step.recorded_only and not recorded:
            verdict = item.advance(None)
        if verdict is None:
            waiting.append(item)
        else:
            yield index, verdict
    picking: list[_Open] = []
    yield from _judged(waiting, picking, judge)
    yield from _picked(rules, picking)


def _judged(waiting: list[_Open], picking: list[_Open], judge: Judge) -> Iterator[tuple[int, Verdict]]:
    """Answer the judge questions in waves; items that come to ask for a random pick move to `picking`."""
    while waiting:
        asking = [item for item in waiting if isinstance(item.step, Ask)]
        picking.extend(item for item in waiting if isinstance(item.step, Pick))
        answers = judge.answer([item.step for item in asking if isinstance(item.step, Ask)]) if asking else []
        waiting = []
        for item, answer in zip(asking, answers, strict=True):
            if isinstance(answer, Exception):
                item.scoring.close()
                yield item.index, Verdict(State.JUDGE_FAILED, note=f"{type(answer).__name__}: {answer}")
                continue
            if answer is not None:
                item.judge = judge.name
            verdict = item.advance(answer)
            if verdict is None:
                waiting.append(item)
            else:
                yield item.index, verdict


def _picked(rules: Rules, picking: list[_Open]) -> Iterator[tuple[int, Verdict]]:
    """Draw the protocol's random fallbacks in its own order and with its own seed."""
    order = rules.order
    picking.sort(key=(lambda item: item.index) if order is None else (lambda item: order(item.sample)))
    generator = random.Random(rules.seed)  # noqa: S311 - reproduces the protocol, not security
    for item in picking:
        if not isinstance(item.step, Pick):
            raise TypeError(f"item {item.sample.id}: a rule may not ask the judge after a random pick")
        verdict = item.advance(generator.choice(item.step.options))
        if verdict is None:
            raise TypeError(f"item {item.sample.id}: a rule must end after its random pick")
        yield item.index, replace(verdict, random=True)
