"""Any Model as a Judge: its prompts are text, its answers are kept by content."""

from __future__ import annotations

from collections.abc import Sequence

from harness import interrupt
from harness.api import Ask, Generation, HarnessError, Model, Request, Response
from harness.folders import cache_folder
from harness.judge.cache import AnswerCache, OpenCache, answer_key


class JudgeFailed(HarnessError):
    """Why a judge gave no answer: the item becomes `judge_failed`."""


class ModelJudge:
    """Asks `model` what the cache does not know; equal questions are asked once.

    `name` is shown in tables; `identity` is what makes two judges the same in the cache (by default the model's
    fingerprint). The cache is MASTERS_HARNESS_CACHE/judges/answers.sqlite unless another is given.
    """

    def __init__(self, model: Model, name: str, identity: str = "", cache: AnswerCache | None = None) -> None:
        self.name = name
        self.model = model
        self._identity = identity or model.fingerprint()
        self._cache = cache or AnswerCache(cache_folder() / "judges" / "answers.sqlite")

    def answer(self, asks: Sequence[Ask]) -> Sequence[str | Exception | None]:
        """One answer per Ask, or the JudgeFailed that says why there is none. Answers are kept as they arrive."""
        if not asks:
            return []
        keys = [answer_key(self._identity, ask) for ask in asks]
        by_key = dict(zip(keys, asks, strict=True))
        with self._cache.open() as cache:
            known = cache.get(list(by_key))
            answers: dict[bytes, str | Exception] = dict(known)
            answers.update(self._ask({key: ask for key, ask in by_key.items() if key not in known}, cache))
        return [answers[key] for key in keys]

    def _ask(self, asks: dict[bytes, Ask], cache: OpenCache) -> dict[bytes, str | Exception]:
        keys = list(asks)
        answers: dict[bytes, str | Exception] = {}
        reason = JudgeFailed("the judge's backend ended without an answer")
        try:
            for index, response in self.model.generate(map(_request, asks.values())) if asks else ():
                failure = _failure(response)
                answers[keys[index]] = failure or response.text
                if failure is None:
                    cache.put(keys[index], self.name, response.text)
                interrupt.check()
        except HarnessError as error:  # the server refuses the key, knows no such model: nothing more will come
            reason = JudgeFailed(error.message, error.remedy)
        return {key: answers.get(key, reason) for key in keys}


def _request(ask: Ask) -> Request:
    return Request((ask.prompt,), Generation(max_new_tokens=ask.max_tokens, temperature=ask.temperature), ask.system)


def _failure(response: Response) -> JudgeFailed | None:
    if response.finish == "error":
        return JudgeFailed(response.error)
    if response.finish == "length" and not response.text.strip():
        return JudgeFailed("the judge was cut at its token limit before it said anything")
    return None
