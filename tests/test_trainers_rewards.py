"""R_acc through a judge: one call, the paper's two, a task's own rules; every failure is a clear outcome."""

from collections.abc import Sequence

import pytest
import torch

from harness.api import Ask, HarnessError, Response, Sample, State
from harness.judge.rule import RuleJudge
from harness.scoring.aggregate import micro
from harness.scoring.verdicts import scored, unread
from trainers.divergence import TokenSignals
from trainers.objective import Layout, Objective, loss_of_batch
from trainers.recipe import RewardJudge
from trainers.rewards import Graded, ResponseKey, accuracies, by_source, grade, reward_parts

SAMPLE = Sample("q1", "Which colour?", "B", choices={"A": "red", "B": "blue"})
PAPER = RewardJudge(name="fake", grade="paper")


class Fake:
    """A judge that answers by what the prompt contains, and keeps what it was asked."""

    name = "fake"

    def __init__(self, explain: str | Exception | None, integer: str | Exception | None = None) -> None:
        self.answers, self.waves = (explain, integer), []

    def answer(self, asks: Sequence[Ask]) -> Sequence[str | Exception | None]:
        self.waves.append(list(asks))
        return [self.answers["<overall_summary> " in ask.prompt] for ask in asks]


def test_the_two_calls_of_the_paper_in_two_waves():
    judge = Fake("It names the core point. <answer> 1 </answer>", " 1\n")
    items = [Graded(SAMPLE, Response("blue")), Graded(SAMPLE, Response("It is (B)."))]
    verdicts = grade(items, judge, PAPER)
    assert accuracies(items, verdicts, PAPER) == [1.0, 1.0]
    assert [len(wave) for wave in judge.waves] == [2, 2]
    first, second = judge.waves[0][0], judge.waves[1][0]
    assert first.prompt.startswith(
        "<question> Which colour?\nA. red\nB. blue </question> <ground truth> B </ground truth> "
        "<generated text> blue </generated text> Provide the numerical evaluation score"
    )
    assert first.system.startswith("You are an evaluation assistant that gives accuracy scores compared with")
    assert second.prompt.startswith(
        "<overall_summary> It names the core point. <answer> 1 </answer> </overall_summary>"
    )
    assert (first.purpose, first.temperature, second.purpose) == ("reward", 0.0, "reward")
    assert verdicts[0].note.startswith("It names")


def test_prompts_are_the_papers(shared):
    """Word for word, apart from line breaks, as printed in the note on the paper."""
    judge = Fake("x", "0")
    grade([Graded(SAMPLE, Response("blue"))], judge, PAPER)
    text = " ".join(shared("paper.md").read_text(encoding="utf-8").split())
    for ask in (judge.waves[0][0], judge.waves[1][0]):
        assert ask.system in text
    for tail in ("Provide the numerical evaluation score", "Please output your integer accuracy score"):
        said = next(ask.prompt for wave in judge.waves for ask in wave if tail in ask.prompt)
        assert said[said.index(tail) :] in text


@pytest.mark.parametrize("integer", ["maybe", "2", "", "the score is 1 or 0"])
def test_an_unreadable_integer_is_zero_or_drops_the_question(integer: str):
    items = [Graded(SAMPLE, Response("blue"))]
    verdicts = grade(items, Fake("explanation", integer), PAPER)
    assert verdicts[0].state is State.JUDGE_FAILED
    assert accuracies(items, verdicts, PAPER) == [0.0]
    assert accuracies(items, verdicts, PAPER.model_copy(update={"unreadable": "drop_question"})) == [None]


def test_a_judge_that_fails_stops_with_a_sentence_and_never_gives_a_reward():
    items = [Graded(SAMPLE, Response("blue"))]
    verdicts = grade(items, Fake(ConnectionError("refused")), PAPER)
    with pytest.raises(HarnessError, match=r"1 of 1 responses could not be graded; the first, to question q1: Conn"):
        accuracies(items, verdicts, PAPER)


def test_an_empty_response_is_zero_without_asking():
    judge = Fake("x", "1")
    items = [Graded(SAMPLE, Response("  \n"))]
    assert accuracies(items, grade(items, judge, PAPER), PAPER) == [0.0]
    assert judge.waves == []


def test_a_missing_gold_answer_is_named():
    with pytest.raises(HarnessError, match="question q2 has no gold answer"):
        grade([Graded(Sample("q2", "?", ""), Response("x"))], Fake("x", "1"), PAPER)


def test_the_rule_judge_decides_short_answers():
    settings = RewardJudge()
    sample = Sample("q", "How many?", "12")
    items = [Graded(sample, Response(text)) for text in ("12", "12.", "13")]
    assert accuracies(items, grade(items, RuleJudge(), settings), settings) == [1.0, 1.0, 0.0]


def test_one_call_reads_the_tag():
    settings = RewardJudge(name="fake")
    items = [Graded(SAMPLE, Response("blue"))]
    assert accuracies(items, grade(items, Fake("Right. <answer>1</answer>"), settings), settings) == [1.0]


def test_a_tasks_own_rules_can_grade():
    from harness.api import Request, Rules

    def score(sample, response):
        return scored(True, "B", "letter") if "B" in response.text else unread(response)

    rules = Rules(lambda s: Request((s.question,)), score, micro())
    settings = RewardJudge(grade="task")
    items = [Graded(SAMPLE, Response(t, finish=f), rules) for t, f in (("B", "stop"), ("hm", "stop"), ("so", "length"))]
    verdicts = grade(items, RuleJudge(), settings)
    assert [v.state for v in verdicts] == [State.SCORED, State.UNPARSED, State.TRUNCATED]
    assert accuracies(items, verdicts, settings) == [1.0, 0.0, 0.0]
    with pytest.raises(HarnessError, match="comes from no task"):
        grade([Graded(SAMPLE, Response("B"))], RuleJudge(), settings)


def test_every_part_of_a_reward_is_recorded():
    layout = Layout(torch.tensor([0, 0, 1]), torch.tensor([0, 0]))
    accuracy = torch.tensor([1.0, 0.0])
    signals = TokenSignals(-torch.ones(3), torch.tensor([0.4, 0.2, 0.1]))
    loss = loss_of_batch(signals, layout, Objective(kl=0), accuracy)
    keys = [ResponseKey("q1", 0, "teacher", 0.2), ResponseKey("q1", 1, "student", 0.2)]
    one, two = reward_parts(keys, layout.lengths, accuracy, loss)
    assert (one.question, one.source, one.tokens, one.accuracy, one.distillation) == ("q1", "teacher", 2, 1.0, 0.0)
    assert one.divergence == pytest.approx(0.3)
    assert (two.reward, two.distillation) == (1.0, 1.0)
    for part in (one, two):
        assert part.reward == part.accuracy + part.distillation
    assert by_source([one, two])["student"]["divergence"] == pytest.approx(0.1)
