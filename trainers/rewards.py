"""Rewards of responses: R_acc from a judge (Eq. 6, appendix D), and the record of every part of every reward."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from harness.api import Ask, HarnessError, Judge, Request, Response, Rules, Sample, Scoring, State, Verdict
from harness.scoring.aggregate import micro
from harness.scoring.score import score_all
from harness.scoring.verdicts import scored
from trainers.objective import Loss
from trainers.recipe import RewardJudge

UNREADABLE = "unreadable"

# Appendix D of arXiv 2512.22238, as printed.
_GRADE_SYSTEM = (
    "You are an evaluation assistant that gives accuracy scores compared with Ground Truth and Generated Text from "
    "AI. Question is in <question> </question> tag. Ground Truth is in <ground truth> </ground truth> tag. "
    "Generated Text in <generated text> </generated text> tag. After reading the Question, compare the Generated "
    "Text against the Ground Truth summary: - If the Generated Text fully and correctly captures the core point -> "
    "1 - If it is incorrect or irrelevant -> 0 - If it has repetitive response -> 0 - If it has empty response -> "
    "0. Output the numerical evaluation score (0 or 1) after giving a brief explanation. The evaluation score "
    "should be wrapped in <answer> </answer> tag."
)
_GRADE_USER = (
    "<question> {} </question> <ground truth> {} </ground truth> <generated text> {} </generated text> Provide the "
    "numerical evaluation score after giving a brief explanation. The evaluation score should be wrapped in "
    "<answer> </answer> tag."
)
_READ_SYSTEM = (
    "You are an evaluation assistant that gives binary accuracy scores (0 or 1) based on the provided overall "
    "summary. The summary will be wrapped inside <overall_summary> and </overall_summary> tag. After reading the "
    "summary, briefly output the integer score (0 or 1) without any text. Your final output must include only the "
    "integer value."
)
_READ_USER = (
    "<overall_summary> {} </overall_summary> Please output your integer accuracy score (0 or 1) based on the "
    "summary above without any text."
)
_BARE = re.compile(r"\s*([01])\s*\.?\s*")
_TAGGED = re.compile(r"<answer>\s*([01])\s*</answer>")


@dataclass(frozen=True, slots=True)
class Graded:
    """A response to grade: its question and gold answer, and (for `grade: task`) the rules of the benchmark."""

    sample: Sample
    response: Response
    rules: Rules | None = None


def question_text(sample: Sample) -> str:
    """The question as a text-only judge sees it: the words, then the options, no image."""
    options = "".join(f"\n{letter}. {text}" for letter, text in sample.choices.items())
    return sample.question + options


def grade(items: Sequence[Graded], judge: Judge, settings: RewardJudge) -> list[Verdict]:
    """The verdict of each response, in order. The judge is asked in waves, so that it can answer many at a time.

    An empty response is 0 without asking. A judge that fails gives State.JUDGE_FAILED, one whose text cannot be read
    too, with rule `unreadable`; `accuracies` says what becomes of them.
    """
    found: dict[int, Verdict] = {}
    for rules, at in _by_rules(items, settings).values():
        for index, verdict in score_all(rules, [(items[i].sample, items[i].response) for i in at], judge):
            found[at[index]] = verdict
    return [found[index] for index in range(len(items))]


def accuracies(items: Sequence[Graded], verdicts: Sequence[Verdict], settings: RewardJudge) -> list[float | None]:
    """R_acc of each response; None where the recipe drops the question (`unreadable: drop_question`).

    A response that no rule reads, a refusal or a truncated one is 0: it does not give the answer. Raises HarnessError
    where no grade was made: a reward is never made up, and answers already given are cached, so a rerun goes on.
    """
    failed = [(item, verdict) for item, verdict in zip(items, verdicts, strict=True) if _failed(verdict)]
    if failed:
        item, verdict = failed[0]
        raise HarnessError(
            f"{len(failed)} of {len(items)} responses could not be graded; the first, to question {item.sample.id}: "
            f"{verdict.note}",
            "mend the judge and run again: finished verdicts are kept",
        )
    unreadable = None if settings.unreadable == "drop_question" else 0.0
    return [
        unreadable if v.state is State.JUDGE_FAILED else v.score if v.state is State.SCORED else 0.0 for v in verdicts
    ]


def _failed(verdict: Verdict) -> bool:
    """No grade was made: the judge could not be reached, or there is no response. Unreadable grades are not this."""
    unreadable = verdict.rule.startswith(UNREADABLE)  # the driver appends the judge's name
    return verdict.state is State.ERROR or (verdict.state is State.JUDGE_FAILED and not unreadable)


def _by_rules(items: Sequence[Graded], settings: RewardJudge) -> Mapping[int, tuple[Rules, list[int]]]:
    """Items that share rules, by the rules' identity: one set of rules is asked in the same waves."""
    own = Rules(lambda sample: Request((question_text(sample),)), _scorer(settings), micro())
    found: dict[int, tuple[Rules, list[int]]] = {}
    for index, item in enumerate(items):
        if settings.grade == "task" and item.rules is None:
            raise HarnessError(
                f"question {item.sample.id} comes from no task, so no task's rules can grade it",
                "set reward.judge.grade to judge (short answers) or paper (an LLM judge)",
            )
        rules = item.rules if settings.grade == "task" and item.rules is not None else own
        found.setdefault(id(rules), (rules, []))[1].append(index)
    return found


def _scorer(settings: RewardJudge) -> Any:
    """The scoring rule of a judge setting: one call, or the paper's two."""

    def score(sample: Sample, response: Response) -> Verdict | Scoring:
        if not response.text.strip():
            return scored(0.0, "", "empty")
        if not sample.answer.strip():
            raise HarnessError(f"question {sample.id} has no gold answer", "add it, or leave the question out")
        return (_two_calls if settings.grade == "paper" else _one_call)(sample, response, settings)

    return score


def _ask(sample: Sample, response: Response, settings: RewardJudge) -> Ask:
    prompt = _GRADE_USER.format(question_text(sample), sample.answer, response.text)
    data = {"id": sample.id, "question": sample.question, "gold": sample.answer, "response": response.text}
    return Ask("reward", prompt, _GRADE_SYSTEM, settings.temperature, settings.max_tokens, data)


def _one_call(sample: Sample, response: Response, settings: RewardJudge) -> Scoring:
    said = yield _ask(sample, response, settings)
    found = _BARE.fullmatch(said or "") or _TAGGED.search(said or "")
    return scored(float(found[1]), found[1], "judge", said or "") if found else _unreadable(said)


def _two_calls(sample: Sample, response: Response, settings: RewardJudge) -> Scoring:
    """Explain and score, then turn the explanation into an integer (appendix D)."""
    summary = yield _ask(sample, response, settings)
    if not summary:
        return _unreadable(summary)
    said = yield Ask("reward", _READ_USER.format(summary), _READ_SYSTEM, settings.temperature, settings.max_tokens)
    found = _BARE.fullmatch(said or "")
    return scored(float(found[1]), found[1], "paper", summary) if found else _unreadable(said)


def _unreadable(said: str | None) -> Verdict:
    note = "the judge has no rule for this response" if said is None else f"the judge said {said[:200]!r}"
    return Verdict(State.JUDGE_FAILED, rule=UNREADABLE, note=note)


# ---------------------------------------------------------------- the record


@dataclass(frozen=True, slots=True)
class ResponseKey:
    """Which response a reward belongs to: question, place in its group, who generated it, at which mask ratio."""

    question: str
    index: int
    source: str
    ratio: float


@dataclass(frozen=True, slots=True)
class RewardParts:
    """Everything a reward was made of, so that another reward can be studied without new generation."""

    question: str
    index: int
    source: str
    ratio: float
    tokens: int
    accuracy: float
    divergence: float
    distillation: float
    reward: float
    advantage: float
    kl: float


def reward_parts(keys: Sequence[ResponseKey], tokens: Tensor, accuracy: Tensor, loss: Loss) -> list[RewardParts]:
    """The record of a batch, one per response: `tokens` and `accuracy` [R] as given to the loss, the rest from it."""
    columns = (tokens, accuracy, loss.divergence, loss.distillation_reward, loss.reward, loss.advantage, loss.kl)
    rows = zip(keys, *(column.tolist() for column in columns), strict=True)
    return [RewardParts(**asdict(key), **dict(zip(_COLUMNS, values, strict=True))) for key, *values in rows]


_COLUMNS = ("tokens", "accuracy", "divergence", "distillation", "reward", "advantage", "kl")


def by_source(parts: Sequence[RewardParts]) -> dict[str, dict[str, float]]:
    """Mean of every part for each source (student, teacher): what a log shows after a step."""
    sources = sorted({part.source for part in parts})
    return {
        source: {
            column: sum(getattr(part, column) for part in own) / len(own)
            for column in _COLUMNS
            if (own := [part for part in parts if part.source == source])
        }
        for source in sources
    }
