"""The judge `rule`: answers by deterministic rules from the fields of an Ask, without any model.

It never guesses: where its rules do not decide it answers None, and the item stays unparsed until another judge is
named. It decides short answers; the long free texts of MM-Vet need a language model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.api import Ask, HarnessError
from harness.judge.normalise import contains, joined, same, words

_WINDOW = 20_000  # characters at the end of a response in which the text of an option is looked for
_LONGEST = 200_000  # characters; what a model repeats beyond them is not graded
_MAX_PART_WORDS = 12  # a gold part longer than this is a text to be understood, not one to be found

# What announces the answer, in English and Chinese, up to the quotes and brackets around it.
_ANSWER = r"(?:(?i:(?:answer|option|choice)\s+is|answer)\s{0,9}[:=]?|(?:答案|选项)[是为：:]{0,2}|选)[\s*_$\"'(（]{0,9}"
_NOT_IN_WORD = r"(?![A-Za-z0-9_'’])"
_SAID_LETTER = re.compile(rf"{_ANSWER}([A-Za-z]){_NOT_IN_WORD}(?!\s+[a-z])")
_BRACKETED = re.compile(r"[(（]([A-Za-z])[)）]")
# A letter that opens the response like a label, or that closes it.
_EDGE_LETTERS = (
    re.compile(r"^[^\w(（]*([A-Z])(?=[.):,：、]|[\W_]*$)"),
    re.compile(r"(?<![A-Za-z0-9'’∠△])([A-Z])[\W_]*$"),
)
_NUMBER_FORM = r"-?\d++(?:,\d{3}(?!\d))*+(?:\.\d++)?+(?:[eE][+-]?\d++)?+"
_NUMBER = re.compile(rf"(?<![\d.]){_NUMBER_FORM}|(?<!\d)-?\.\d++")
_SAID_NUMBER = re.compile(_ANSWER + rf"({_NUMBER_FORM})")
_LIST = re.compile(r"\[[^\[\]]*+\]")


def open_judge(spec: str = "") -> RuleJudge:
    """The judge; it has no options."""
    if spec:
        raise HarnessError(f"the judge 'rule' has no options, not {spec!r}", "write --judge rule")
    return RuleJudge()


class RuleJudge:
    """Answers `extract`, `grade` and `reward`. It has no rule for `match`: exact matching is what decided before."""

    name = "rule"

    def answer(self, asks: Sequence[Ask]) -> Sequence[str | Exception | None]:
        """One answer per Ask, None where no rule decides; an Ask without the fields of its purpose is an error."""
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> str | HarnessError | None:
        rule = _RULES.get(ask.purpose)
        if rule is None:
            return None
        try:
            return rule(ask.data)
        except KeyError as missing:
            return HarnessError(
                f"an Ask for {ask.purpose!r} has no field {missing} in its data",
                "the task that asks must name what a rule decides by (harness.judge.rule)",
            )


def extract(data: Mapping[str, Any]) -> str | None:
    """The final answer in `response`: an option letter or text, a list, or a number.

    Fields: response, question_type (multi_choice or other), answer_type (list or other), choices (texts in order).
    What is said to be the answer ("the answer is (B)") wins over what stands last.
    """
    response = data["response"]
    if data["question_type"] == "multi_choice":
        return _last_option(response, data["choices"])
    if data["answer_type"] == "list":
        lists: list[str] = _LIST.findall(response)
        return lists[-1] if lists else None
    return _last(_SAID_NUMBER, _NUMBER, response).replace(",", "") or None


def grade(data: Mapping[str, Any]) -> str | None:
    """The share of the gold's <AND> parts that `response` contains, each by any of its <OR> alternatives.

    Fields: gold, response. None where every alternative of a part is a long text.
    """
    said = words(data["response"][:_LONGEST])
    shares = []
    for part in data["gold"].split("<AND>"):
        alternatives = [words(alternative) for alternative in part.split("<OR>")]
        if all(len(alternative) > _MAX_PART_WORDS for alternative in alternatives):
            return None
        shares.append(any(contains(said, alternative) for alternative in alternatives))
    return f"{sum(shares) / len(shares):.4g}"


def reward(data: Mapping[str, Any]) -> str:
    """1 where `response` is the `gold` after normalisation, else 0."""
    return "1" if same(data["response"], data["gold"]) else "0"


_RULES: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "extract": extract,
    "grade": grade,
    "reward": reward,
}


def _last(said: re.Pattern[str], anywhere: re.Pattern[str], text: str) -> str:
    """The last match of `said` in a text, else of `anywhere`, else ""."""
    for pattern in (said, anywhere):
        found: list[str] = pattern.findall(text)
        if found:
            return found[-1]
    return ""


def _last_option(response: str, choices: Sequence[str]) -> str | None:
    """The letter said to be the answer, else the last "(B)", a letter at either end, the option text that ends last.

    A response that only lists all options in brackets says nothing by them.
    """
    letters = [chr(ord("A") + place) for place in range(len(choices))]
    for pattern in (_SAID_LETTER, _BRACKETED, *_EDGE_LETTERS):
        said = [letter for letter in map(str.upper, pattern.findall(response)) if letter in letters]
        if said:
            listed = pattern is _BRACKETED and 2 < len(choices) == len(set(said))
            return None if listed else said[-1]
    text = joined(words(response[-_WINDOW:]))
    ends = {letter: _end(text, choice) for letter, choice in zip(letters, choices, strict=True)}
    best = max(ends, key=lambda letter: ends[letter], default="")
    return best if best and ends[best] > (0, 0) else None


def _end(text: str, choice: str) -> tuple[int, int]:
    """Where the last occurrence of an option ends, and its length: of "apple" and "red apple" the longer is meant."""
    part = words(choice)
    place = text.rfind(joined(part)) if part else -1
    return (place + len(joined(part)), len(joined(part))) if place >= 0 else (0, 0)
