"""VLMEvalKit's reading of a multiple-choice response, in its two versions, and the judge step that follows it.

Source: open-compass/VLMEvalKit vlmeval/utils/matching_util.py and vlmeval/dataset/utils/multiple_choice.py, at
e8e78f05 (August 2026) and c03bc048 (July 2024). Both versions first look for one option letter that stands alone,
then for one option text inside the response. The 2026 version believes the letter only among the last four words,
also reads "answer is **B**", and gives up on the text when the response is more than twice as long as all options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from harness.api import Ask, Response, Sample, Scoring, State, Verdict
from harness.scoring.match_prompts import match_prompt
from harness.scoring.verdicts import scored, unread

NO_MATCH = "Z"
_API_FAILED = "Failed to obtain answer via API"
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_BREAKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_LAST_WORDS = 4
# The optional "correct" before it and the stars after the letter, which upstream's pattern has, cannot change a hit.
_ANSWER_IS = re.compile(r"answer\s+is\s+\**([abcd])", re.IGNORECASE)


class Read(NamedTuple):
    """What can_infer read: an option letter, or `Z` for "none of them", and the rule that fired."""

    letter: str
    rule: str


Infer = Callable[[str, Mapping[str, str]], Read | None]


def can_infer_2026(text: str, choices: Mapping[str, str]) -> Read | None:
    """The letter that VLMEvalKit of August 2026 reads (None: it would ask its judge). Linear in len(text)."""
    if _API_FAILED not in text:
        if any(refusal in text for refusal in _REFUSALS):
            return Read(NO_MATCH, "refusal")
        words = text.translate(_BREAKS).split()
        letters = _standing_alone(words, choices)
        if len(letters) == 1 and words.index(letters[0]) >= len(words) - _LAST_WORDS:
            return Read(letters[0], "option")
        if not letters and NO_MATCH in words:
            return Read(NO_MATCH, "option")
        verbose = _ANSWER_IS.search(text)
        if verbose and verbose[1].upper() in choices:
            return Read(verbose[1].upper(), "answer is")
    if len(text.lower()) > 2 * sum(map(len, choices.values())):
        return None
    return _by_text(text, choices)


def can_infer_2024(text: str, choices: Mapping[str, str]) -> Read | None:
    """The letter that VLMEvalKit of July 2024 reads (None: it would ask its judge). Linear in len(text)."""
    if _API_FAILED not in text:
        if any(refusal in text for refusal in _REFUSALS):
            return Read(NO_MATCH, "refusal")
        words = text.translate(_BREAKS).split()
        letters = _standing_alone(words, choices)
        if len(letters) == 1:
            return Read(letters[0], "option")
        if not letters and NO_MATCH in words:
            return Read(NO_MATCH, "option")
    return _by_text(text, choices)


def _standing_alone(words: list[str], choices: Mapping[str, str]) -> list[str]:
    """The option letters that occur as whole words, in option order."""
    present = set(words)
    return [letter for letter in choices if letter in present]


def _by_text(text: str, choices: Mapping[str, str]) -> Read | None:
    """The one option whose text occurs in the response, case ignored."""
    lowered = text.lower()
    found = [letter for letter, option in choices.items() if option.lower() in lowered]
    return Read(found[0], "option text") if len(found) == 1 else None


def judged_option(
    infer: Infer, prompt: Callable[[Sample, str], str] = match_prompt
) -> Callable[..., Verdict | Scoring]:
    """The scoring rule "read it with `infer`; if that fails, let the judge match it to an option".

    Upstream asks the judge up to three times and then draws a letter at random, unseeded. Here an unreadable reply
    is `judge_failed` and a judge without a rule for it (None) leaves the item unread: nothing is guessed.
    """

    def score(sample: Sample, response: Response) -> Verdict | Scoring:
        read = infer(response.text, sample.choices)
        return _verdict(sample, read) if read else ask(sample, response)

    def ask(sample: Sample, response: Response) -> Scoring:
        data = {
            "id": sample.id, "question": sample.question, "choices": dict(sample.choices), "response": response.text,
        }  # fmt: skip
        reply = yield Ask("match", prompt(sample, response.text), data=data)
        if reply is None:
            return unread(response, "no option matched")
        read = infer(reply, sample.choices)
        if read is None:
            return Verdict(State.JUDGE_FAILED, rule="judge", note=f"no option letter in the reply: {reply[:200]}")
        return _verdict(sample, Read(read.letter, "judge"))

    return score


def _verdict(sample: Sample, read: Read) -> Verdict:
    if read.letter == NO_MATCH and NO_MATCH not in sample.choices:
        state = State.REFUSED if read.rule == "refusal" else State.UNPARSED
        return Verdict(state, extracted=NO_MATCH, rule=read.rule)
    return scored(read.letter == sample.answer, read.letter, read.rule)
