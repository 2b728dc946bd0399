"""The response parsers of MMMU, shared by MMMU and MMMU-Pro and by the frameworks that ported them.

Source: MMMU-Benchmark/MMMU at bb0b95a9, mmmu/utils/eval_utils.py. lmms-eval's port and MMMU-Pro's evaluate.py look
for other forms of a bare letter: that is the parameter `forms`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

#: How a letter stands alone in a response, tried in this order after "(A)": MMMU asks for blanks on both sides ...
MMMU_FORMS = (" {} ",)
#: ... MMMU-Pro and lmms-eval only for one behind it ("DNA " gives A), and then for a full stop.
LOOSE_FORMS = ("{} ", "{}.")

_EDGE_PUNCTUATION = ",.!?;:'"
_MIN_WORDS_FOR_TEXT = 5  # a response must be longer than this to be searched for the text of an option


class Choice(NamedTuple):
    """The letter read and the rule that read it; letter "" where no rule reads the response."""

    letter: str
    rule: str


def read_choice(response: str, choices: Mapping[str, str], forms: Sequence[str] = MMMU_FORMS) -> Choice:
    """The option that a response names last: by "(A)", by a bare letter in one of `forms`, or by its text.

    `choices` maps letter to text. Upstream draws at random where this returns the letter "".
    """
    for character in _EDGE_PUNCTUATION:  # one pass each, in this order: upstream's order decides what remains
        response = response.strip(character)
    text = f" {response} "
    bracketed = [letter for letter in choices if f"({letter})" in text]
    if bracketed:
        return Choice(_last(bracketed, {letter: text.rfind(f"({letter})") for letter in bracketed}), "mmmu:bracket")
    for form in forms:
        bare = [letter for letter in choices if form.format(letter) in text]
        if bare:
            # Whatever the form, several candidates are ranked by where " A " stands (-1 where it does not).
            return Choice(_last(bare, {letter: text.rfind(f" {letter} ") for letter in bare}), "mmmu:letter")
    if _words_exceed(text, _MIN_WORDS_FOR_TEXT):
        lowered = text.lower()
        places = {letter: lowered.rfind(option.lower()) for letter, option in choices.items()}
        named = [letter for letter in choices if places[letter] >= 0]
        if named:
            return Choice(_last(named, places), "mmmu:option_text")
    return Choice("", "mmmu:none")


def read_choice_after_answer(response: str, choices: Mapping[str, str]) -> Choice:
    """MMMU-Pro: the only letter in what follows the last "Answer:", or else what `read_choice` finds (loose forms).

    The letter is a substring: "Answer: B. Apple" holds B and A, so this rule does not fire.
    Source: MMMU-Benchmark/MMMU at bb0b95a9, mmmu-pro/evaluate.py.
    """
    _, marker, tail = response.rpartition("Answer:")
    if marker:
        tail = tail.strip()
        letters = [letter for letter in choices if letter in tail]
        if len(letters) == 1:
            return Choice(letters[0], "mmmu_pro:after_answer")
    return read_choice(response, choices, LOOSE_FORMS)


def _last(candidates: Sequence[str], places: Mapping[str, int]) -> str:
    """The candidate that stands last; the first of those at the same place, as numpy.argmax decides upstream."""
    return max(candidates, key=lambda letter: places[letter])


def _words_exceed(text: str, limit: int) -> bool:
    return len(text.split(maxsplit=limit)) > limit


# ---------------------------------------------------------------- open questions

#: What MMMU compares: a lower-cased text, or a number rounded to two places.
Value = str | float

_TRIVIAL = frozenset(":,.!?;'")
_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
# Upstream's three patterns, made linear: a number starts where its run of digits starts (a match further in would
# end like the one from the start), and a run is never given back digit by digit.
_WITH_COMMAS = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
_SCIENTIFIC = re.compile(r"-?(?<!\d)\d++(?:\.\d++)?+[eE][+-]?\d++")
_SIMPLE = re.compile(r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?![,\d])")


def read_open(response: str) -> list[Value]:
    """All that a response may mean: the tail of each line behind a word such as "is", and every number in these."""
    tails = _key_tails(response)
    found = dict.fromkeys(tails)
    for tail in tails:
        found.update(dict.fromkeys(_numbers(tail)))
    return list(dict.fromkeys(value for text in found for value in normalise(text)))


def open_correct(gold: Iterable[str], values: Iterable[Value]) -> bool:
    """Whether any value of the response holds a gold text as a substring, or equals a gold number."""
    golds = [value for text in gold for value in normalise(text)]
    texts = [value for value in golds if isinstance(value, str)]
    return any(any(text in value for text in texts) if isinstance(value, str) else value in golds for value in values)


def normalise(text: str) -> list[Value]:
    """A number (commas dropped) rounded to two places, else lower case; one character is padded on either side."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        lowered = text.lower()
        return [f" {lowered}", f"{lowered} "] if len(lowered) == 1 else [lowered]


def _key_tails(response: str) -> list[str]:
    """The shortest tail of each line behind an indicator (the last line may also have "="), or the whole response."""
    whole = response.strip().strip(".").lower()
    lines = whole.split("\n")
    tails = []
    for number, line in enumerate(lines, 1):
        indicators = (*_INDICATORS, "=") if number == len(lines) else _INDICATORS
        shortest = ""
        for indicator in indicators:
            _, found, tail = line.rpartition(indicator)
            tail = tail.strip()
            # An empty shortest tail is replaced by whatever comes next: upstream tests it for truth.
            if found and (not shortest or len(tail) < len(shortest)):
                shortest = tail
        if shortest and shortest not in _TRIVIAL:
            tails.append(shortest)
    return tails or [whole]


def _numbers(text: str) -> list[str]:
    return [number for pattern in (_WITH_COMMAS, _SCIENTIFIC, _SIMPLE) for number in pattern.findall(text)]
