"""The two ways a rule ends: it read the response, or it did not."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.api import Response, State, Verdict

# Phrases of a model that declines or says that it saw no image. Only consulted when no rule read the response.
_REFUSAL = re.compile(
    r"\bI(?:'m| am) (?:sorry|unable|not able)\b|\bI (?:can(?:no|')t|cannot) (?:help|assist|see|view|process|answer)\b"
    r"|\bAs an AI\b|无法(?:回答|看到|查看)|抱歉",
    re.IGNORECASE,
)
_REFUSAL_WINDOW = 2000  # characters from the start; a refusal opens the response


def scored(score: float | bool, extracted: str, rule: str, note: str = "", random: bool = False) -> Verdict:
    """A verdict of a response that `rule` read as `extracted`; `score` in [0, 1] (True is 1)."""
    return Verdict(State.SCORED, float(score), extracted, rule, random, note)


def unread(response: Response, rule: str = "") -> Verdict:
    """The verdict of a response that no rule reads: why, as far as the response itself tells. It counts 0."""
    if response.finish == "error":
        return Verdict(State.ERROR, rule=rule, note=response.error)
    if response.finish == "length":
        return Verdict(State.TRUNCATED, rule=rule)
    if _REFUSAL.search(response.text[:_REFUSAL_WINDOW]):
        return Verdict(State.REFUSED, rule=rule)
    return Verdict(State.UNPARSED, rule=rule)


def unread_as(response: Response, extracted: str, rule: str) -> Verdict:
    """As `unread`, for a rule that read something which is no answer to the question (a letter that is no option)."""
    return replace(unread(response, rule), extracted=extracted)
