"""No response can crash or mislead a scorer: every rule of every protocol ends in a state, whatever the text."""

import random

import pytest
from hostile import ATOMS, PIECES, long, mini_samples, scorers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.api import Ask, Response, State, Verdict
from harness.judge.rule import open_judge
from harness.registry import rules, task
from harness.scoring.score import score_all

SAMPLES = mini_samples(2)
SCORERS = list(scorers())
JUDGE = open_judge()


class Echo:
    """A judge that answers every question with one text."""

    name = "echo"

    def __init__(self, text: str) -> None:
        self._text = text

    def answer(self, asks: list[Ask]) -> list[str]:
        return [self._text for _ in asks]


def check(name: str, protocol: str, text: str, judge=JUDGE) -> None:
    items = [(sample, Response(text)) for sample in SAMPLES[name]]
    found = list(score_all(rules(task(name), protocol), items, judge))
    assert len(found) == len(items)
    for _, verdict in found:
        assert isinstance(verdict, Verdict)
        assert verdict.state in State
        assert 0 <= verdict.score <= 1
        assert verdict.state is State.SCORED or verdict.score == 0
        assert isinstance(verdict.extracted, str)
        assert verdict.rule


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(ATOMS), max_size=12).map("".join), st.sampled_from(SCORERS))
def test_any_text_ends_in_a_state(text: str, scorer: tuple[str, str]) -> None:
    check(*scorer, text)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=40), st.sampled_from(SCORERS))
def test_any_unicode_ends_in_a_state(text: str, scorer: tuple[str, str]) -> None:
    check(*scorer, text)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(ATOMS), max_size=8).map("".join), st.sampled_from(SCORERS))
def test_any_reply_of_a_judge_ends_in_a_state(reply: str, scorer: tuple[str, str]) -> None:
    check(*scorer, "I would rather say something else.", Echo(reply))


@pytest.mark.parametrize("text", ["", " ", "((((", "1e999", "nan", "-inf", "[[[[1]]", "\x00", "\u202eA", "9" * 5000])
def test_named_horrors(text: str) -> None:
    for scorer in SCORERS:
        check(*scorer, text)


@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_is_scored(piece: str) -> None:
    """Four rules a piece, drawn by its name; benchmarks/extractor_times.py times them all."""
    for scorer in random.Random(piece).sample(SCORERS, 4):
        check(*scorer, long(PIECES[piece], 1_000_000))
