"""Accuracy on the held-out questions: what learning rates and weights are tuned by, never the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from harness.api import HarnessError, Judge, Model, Response
from harness.scoring.score import open_judge
from trainers.questions import TrainingQuestion
from trainers.recipe import RewardJudge
from trainers.rewards import Graded, accuracies, grade


def accuracy(
    model: Model, questions: Sequence[TrainingQuestion], settings: RewardJudge, judge: Judge | None = None
) -> float:
    """Share of questions that the model answers rightly, decoded as the question asks (greedy)."""
    asked = list(questions)
    said: dict[int, Response] = dict(model.generate(question.request for question in asked))
    failed = [(asked[i], response) for i, response in said.items() if response.finish == "error"]
    if failed:
        question, response = failed[0]
        raise HarnessError(f"validation question {question.sample.id}: {response.error}", "leave it out of the data")
    items = [Graded(question.sample, said[i], question.rules) for i, question in enumerate(asked)]
    verdicts = grade(items, judge or open_judge(settings.name), settings)
    rewards = [reward or 0.0 for reward in accuracies(items, verdicts, settings)]
    return sum(rewards) / len(rewards)
