"""Aggregation against numpy, scipy and statsmodels."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from harness.api import Ask, Pick, Response, Rules, Sample, Scored, State, Verdict
from harness.scoring.aggregate import macro, micro
from harness.scoring.score import score_all
from harness.scoring.verdicts import scored, unread


def items(scores, clusters=None, **meta):
    return [
        Scored(
            Sample(str(i), "", "", cluster="" if clusters is None else str(clusters[i]),
                   meta={k: v[i] for k, v in meta.items()}),
            Verdict(State.SCORED, s),
        )
        for i, s in enumerate(scores)
    ]  # fmt: skip


def test_micro_mean_and_error_are_scipys():
    scores = np.random.default_rng(0).integers(0, 2, 200).astype(float)
    metrics = micro()(items(scores))
    assert metrics.score == pytest.approx(100 * scores.mean())
    assert metrics.stderr == pytest.approx(100 * stats.sem(scores))


def test_clustered_error_is_statsmodels():
    rng = np.random.default_rng(1)
    clusters = rng.integers(0, 30, 300)
    scores = (rng.random(300) + rng.random(30)[clusters]) / 2
    fit = sm.OLS(scores, np.ones(300)).fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False})
    used = len(set(clusters))
    expected = fit.bse[0] * math.sqrt(used / (used - 1))
    assert micro()(items(scores, clusters)).stderr == pytest.approx(100 * expected)


def test_macro_is_the_mean_of_group_means():
    scores, kinds = [1, 0, 0, 1, 1], ["a", "a", "a", "b", "b"]
    metrics = macro("kind", "kind")(items(scores, kind=kinds))
    assert metrics.score == pytest.approx(100 * (1 / 3 + 1) / 2)
    assert metrics.groups["kind"]["b"].n == 2
    assert sum(u.weight for u in metrics.units) == pytest.approx(1)


def test_an_item_counts_for_each_of_its_skills():
    metrics = micro("skills")(items([1, 0], skills=[["x", "y"], ["y"]]))
    assert {k: (g.score, g.n) for k, g in metrics.groups["skills"].items()} == {"x": (100, 1), "y": (50, 2)}


def test_a_circular_group_is_right_when_every_pass_is():
    scores = [1, 1, 1, 0]
    pairs = [("q1", True), ("q2", True), ("q1", False), ("q2", False)]
    by_id = {str(i): pair for i, pair in enumerate(pairs)}
    metrics = micro(group=lambda s: by_id[s.id])(items(scores))
    assert (metrics.score, metrics.n) == (50, 2)


class _Judge:
    name = "test"

    def __init__(self, answers):
        self.answers, self.calls = answers, []

    def answer(self, asks):
        self.calls.append([a.prompt for a in asks])
        return [self.answers.get(a.prompt) for a in asks]


def test_judge_waves_and_random_picks_in_protocol_order():
    def rule(sample, response):
        if response.text == "clear":
            return scored(1, "clear", "direct")
        return asking(response)

    def asking(response):
        first = yield Ask("match", response.text)
        if first is None:
            picked = yield Pick(("A", "B", "C", "D"))
            return scored(0, picked or "", "random fallback")
        second = yield Ask("match", first)
        return scored(second == "yes", first, "judge")

    judge = _Judge({"once": "twice", "twice": "yes", "broken": ConnectionError("gone")})
    texts = ["lost", "clear", "once", "broken", "lost", "x"]
    answers = [(Sample(str(9 - i), "", ""), Response(t)) for i, t in enumerate(texts)]
    answers.append((Sample("e", "", ""), Response("", "error", error="CUDA")))
    rules = Rules(request=None, score=rule, aggregate=micro(), seed=42, order=lambda s: s.id)
    verdicts = dict(score_all(rules, answers, judge))
    assert judge.calls == [["lost", "once", "broken", "lost", "x"], ["twice"]]
    assert verdicts[2].score == 1
    assert verdicts[3].state is State.JUDGE_FAILED
    assert "gone" in verdicts[3].note
    assert verdicts[6].state is State.ERROR
    import random

    upstream = random.Random(42)
    expected = [upstream.choice(["A", "B", "C", "D"]) for _ in range(3)]
    assert [verdicts[i].extracted for i in (5, 4, 0)] == expected  # ids 4, 5, 9
    assert all(verdicts[i].random for i in (5, 4, 0))


@pytest.mark.parametrize(
    ("response", "state"),
    [
        (Response("I'm sorry, I cannot help"), State.REFUSED),
        (Response("on and on", "length"), State.TRUNCATED),
        (Response("???"), State.UNPARSED),
        (Response("", "error", error="boom"), State.ERROR),
    ],
)
def test_why_a_response_was_not_read(response, state):
    assert unread(response).state is state
