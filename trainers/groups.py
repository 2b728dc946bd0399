"""Groups of responses with their accuracy: what the policy term and the divergence are computed over."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.api import Ask, HarnessError, Judge, Response, State, Verdict
from harness.scoring.score import open_judge
from trainers.generate import GOLD, Generated
from trainers.questions import TrainingQuestion
from trainers.recipe import RewardJudge
from trainers.rewards import Graded, accuracies, grade
from trainers.shards import Shards

_FREE = "rule"  # this judge costs nothing, so its verdicts are not kept
_CHUNK = 512
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("state", pa.string()),
        ("score", pa.float64()),
        ("extracted", pa.string()),
        ("rule", pa.string()),
        ("note", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Group:
    """A question, its responses, R_acc of each and the verdict it comes from (empty where no reward is asked for)."""

    question: TrainingQuestion
    responses: tuple[Generated, ...]
    accuracy: tuple[float, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    @property
    def tokens(self) -> int:
        """Response tokens."""
        return sum(len(response.token_ids) for response in self.responses)


def gold(question: TrainingQuestion, tokenizer: Any, end: int) -> Generated:
    """The gold text as a response: its tokens and the token that ends the turn."""
    ids = tokenizer(question.target, add_special_tokens=False)["input_ids"]
    return Generated(question.key, 0, GOLD, 0.0, question.target, (*ids, end), (), "stop")


def usable(
    responses: Sequence[Generated], forbidden: set[int], vocabulary: int, truncated: str
) -> tuple[Generated, ...]:
    """Responses that can be trained on: without image tokens (the model would look for another image), without tokens
    that pad a vocabulary (a masked teacher may say one: id `vocabulary` or above), and, where the recipe says so,
    without truncated ones.
    """
    return tuple(
        response
        for response in responses
        if response.token_ids
        and max(response.token_ids) < vocabulary
        and not forbidden.intersection(response.token_ids)
        and not (truncated == "drop" and response.finish == "length")
    )


class _Elsewhere:
    """The judge that the main process has, in the others: known by name, never asked."""

    def __init__(self, name: str) -> None:
        self.name = name

    def answer(self, asks: Sequence[Ask]) -> Sequence[str | Exception | None]:
        raise HarnessError(
            f"{len(asks)} responses have no verdict of the judge {self.name} where all should have one",
            "run again: the main process asks for what is missing",
        )


def shared_judge(settings: RewardJudge, accelerator: Any, given: Judge | None = None) -> Judge:
    """The recipe's judge (`given`, where it is open already). Of several processes only the main one opens a judge that
    costs money or memory. All processes call this together.
    """
    if accelerator.num_processes == 1 or settings.name == _FREE:
        return given or open_judge(settings.name)
    from accelerate.utils import broadcast_object_list

    judge = (given or open_judge(settings.name)) if accelerator.is_main_process else None
    names = broadcast_object_list([judge.name if judge else ""])
    return judge or _Elsewhere(str(names[0]))


class Grader:
    """R_acc of responses by a judge. Verdicts of a judge that costs are kept in `folder` as they come."""

    def __init__(self, settings: RewardJudge, folder: Path, judge: Judge, writer: int = 0) -> None:
        self.settings = settings
        self.judge = judge
        self._kept = None if self.judge.name == _FREE else Shards(folder, _SCHEMA, writer)
        self._salt = settings.model_dump_json()

    @property
    def costs(self) -> bool:
        """Whether answers of this judge are worth keeping."""
        return self._kept is not None

    def refresh(self) -> None:
        """See what other processes have graded."""
        if self._kept is not None:
            self._kept.refresh()

    def grade(self, groups: Sequence[tuple[TrainingQuestion, tuple[Generated, ...]]]) -> list[Group]:
        """The groups with verdicts; a question that the recipe drops as unreadable is left out.

        Raises HarnessError where a response could not be graded, after keeping what was.
        """
        items = [Graded(q.sample, Response(r.text, r.finish), q.rules) for q, found in groups for r in found]
        keys = [self._key(q, r) for q, found in groups for r in found]
        verdicts = self._verdicts(items, keys)
        rewards = accuracies(items, verdicts, self.settings)
        made: list[Group] = []
        at = 0
        for question, found in groups:
            here = slice(at, at + len(found))
            at += len(found)
            given = [reward for reward in rewards[here] if reward is not None]
            if len(given) == len(found):
                made.append(Group(question, found, tuple(given), tuple(verdicts[here])))
        return made

    def _verdicts(self, items: Sequence[Graded], keys: Sequence[str]) -> list[Verdict]:
        if self._kept is None:
            return grade(items, self.judge, self.settings)
        for start in range(0, len(items), _CHUNK):
            here = range(start, min(start + _CHUNK, len(items)))
            new = {keys[i]: i for i in reversed(here) if keys[i] not in self._kept}  # of equal responses only one
            fresh = grade([items[i] for i in new.values()], self.judge, self.settings)
            pairs = dict(zip(new, fresh, strict=True))
            self._kept.append([_row(key, verdict) for key, verdict in pairs.items() if _final(verdict)])
            failed = [key for key, verdict in pairs.items() if not _final(verdict)]
            if failed:  # says which, and raises
                accuracies([items[new[failed[-1]]]], [pairs[failed[-1]]], self.settings)
        rows = self._kept.rows(dict.fromkeys(keys))
        return [_verdict(rows[key]) for key in keys]

    def _key(self, question: TrainingQuestion, response: Generated) -> str:
        content = "\x1f".join([self.judge.name, self._salt, question.key, response.finish, response.text])
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def _final(verdict: Verdict) -> bool:
    """A verdict that will not change when asked again; a judge that could not be reached is asked again."""
    return verdict.state is not State.ERROR and (verdict.state is not State.JUDGE_FAILED or bool(verdict.rule))


def _row(key: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "key": key, "state": str(verdict.state), "score": verdict.score, "extracted": verdict.extracted,
        "rule": verdict.rule, "note": verdict.note,
    }  # fmt: skip


def _verdict(row: dict[str, Any]) -> Verdict:
    return Verdict(State(row["state"]), row["score"], row["extracted"], row["rule"], note=row["note"])
