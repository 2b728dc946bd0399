"""How lmms-eval reads a multiple-choice response: one small reader per benchmark family, none guesses.

Source: EvolvingLMMs-Lab/lmms-eval at 75571cfe (0.7.2). Every reader strips the response first, as the framework does
before it scores, and is linear in the response's length.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from harness.api import Response, Sample, Verdict
from harness.scoring.verdicts import scored, unread_as


class Read(NamedTuple):
    """A letter (or other short answer) and the rule that read it."""

    letter: str
    rule: str


NOTHING = Read("", "no letter")

# ---------------------------------------------------------------- the shared extractor (MMStar, RealWorldQA, MMBench)

_EDGES = ",.!?;:'\""
#: What announces an answer; the options, letters and readings behind it are taken from the original text.
_PHRASES = (
    "the answer is", "answer is", "the correct answer is", "correct answer is", "the best answer is", "best answer is",
    "the correct option is", "correct option is", "the best option is", "best option is", "the choice is", "choice is",
    "the correct choice is", "correct choice is", "i choose", "i select", "i pick", "my answer is", "my choice is",
    "옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは",
)  # fmt: skip
# Forms of a letter in the middle of a text, the most trusted first.
_FORMS = (("({})", "parentheses"), ("{}.", "period"), ("{}:", "colon"), ("{})", "right parenthesis"), ("{} ", "space"))


def extract_letter(text: str, letters: Iterable[str] = "ABCD") -> Read:
    """The letter of _task_utils/mcq_extract.py: one that opens or ends the text, one behind a phrase, else a form.

    Of several letters in the most trusted form the last one counts; behind a phrase every letter counts at its first
    place, even inside a word. Letters are upper-case.
    """
    letters = tuple(letters)
    text = text.strip()
    for edge in _EDGES:  # one pass each, in this order
        text = text.strip(edge)
    bare = text.strip()
    if not bare:
        return NOTHING
    if bare[0] in letters and not bare[1:2].isalpha():
        return Read(bare[0], "start")
    if bare[-1] in letters and not bare[-2:-1].isalpha():
        return Read(bare[-1], "end")
    padded = f" {text} "
    if not any(letter in padded for letter in letters):
        return NOTHING
    behind = _behind_phrases(padded, letters)
    if behind:
        return Read(behind, "phrase")
    for form, name in (*_FORMS, ("{}", "anywhere")):
        places = {letter: padded.rfind(form.format(letter)) for letter in letters}
        last = max(letters, key=lambda letter: places[letter])
        if places[last] >= 0:
            return Read(last, name)
    return NOTHING


def _behind_phrases(text: str, letters: Sequence[str]) -> str:
    """Of the letters' first places behind the first place of each phrase, the letter at the last one; "" if none.

    Upstream looks for the phrase in the lower-cased text and takes its place for one in the text itself.
    """
    lowered = text.lower()
    best, found = -1, ""
    for phrase in _PHRASES:
        start = lowered.find(phrase)
        if start < 0:
            continue
        for letter in letters:
            place = text.find(letter, start + len(phrase))
            if place > best:
                best, found = place, letter
    return found


# ---------------------------------------------------------------- AI2D

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def exact_form(text: str) -> str:
    """What `exact_match` compares: lower case without ASCII punctuation (numpy drops NULs at the end)."""
    return text.lower().translate(_NO_PUNCTUATION).rstrip("\0")


def labelled_or_whole(text: str, letters: Iterable[str] = "ABCD") -> Read:
    """AI2D: `A.` at the start, else the whole response, compared without case and punctuation."""
    text = text.strip()
    if text[1:2] == "." and "A" <= text[0] <= "Z":
        return Read(text[0], "label")
    form = exact_form(text)
    return next((Read(letter, "whole response") for letter in letters if form == letter.lower()), NOTHING)


# ---------------------------------------------------------------- SEED-Bench, BLINK


def first_character(text: str, letters: Iterable[str] = "ABCD") -> Read:
    """SEED-Bench: the first character of the response is the answer, whatever follows."""
    first = text.strip()[:1]
    return Read(first.upper() if first.isascii() else first, "first character")


_FIRST_LETTER = re.compile(r"[(\s]*+([A-Z])", re.IGNORECASE)


def first_letter(text: str, letters: Iterable[str] = "ABCD") -> Read:
    """BLINK at 0.7.2: the first letter of the text, behind blanks and brackets ("The answer is (B)" gives T)."""
    opening = _FIRST_LETTER.match(text.strip())
    return Read(opening[1].upper(), "first letter") if opening else NOTHING


# ---------------------------------------------------------------- MMBench

_FIVE = "ABCDE"
_FOUR = "ABCD"
_AFFIXES = (
    ("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ")."),
    (":", ""), (":", ","), (":", "."), (":", ")"), (":", ")."),
)  # fmt: skip
_LONGEST_WITH_ARTICLE = 3  # in a longer text an "A" may be the article


def infer_mmbench(text: str, choices: Mapping[str, str]) -> Read:
    """The prefetch of mmbench_evals.py: one letter of A-E as a word, then in one of twelve affixes, then option text.

    `choices` are the options A to D; NOTHING means that upstream asks its judge.
    """
    if "Failed to obtain answer via API" not in text:
        words = text.split()
        present = set(words)
        alone = [letter for letter in _FIVE if letter in present]
        if len(alone) == 1 and not ("A" in present and len(words) > _LONGEST_WITH_ARTICLE):
            return Read(alone[0], "letter")
        for before, behind in _AFFIXES:
            found = [letter for letter in _FIVE if f"{before}{letter}{behind}" in present]
            if len(found) == 1:
                return Read(found[0], f"letter as {before}X{behind}")
    lowered = text.lower()
    named = [letter for letter in _FOUR if letter in choices and choices[letter].lower() in lowered]
    return Read(named[0], "option text") if len(named) == 1 else NOTHING


# ---------------------------------------------------------------- verdicts

Reader = Callable[[str, Iterable[str]], Read]


def by_letter(reader: Reader) -> Callable[[Sample, Response], Verdict]:
    """The scoring rule "right if the reader's letter is the gold"; a letter that is no option counts as unread."""
    return lambda sample, response: judge_letter(sample, response, reader(response.text, sample.choices))


def judge_letter(sample: Sample, response: Response, read: Read) -> Verdict:
    """The verdict of a letter that was read."""
    if read.letter and (read.letter == sample.answer or read.letter in sample.choices):
        return scored(read.letter == sample.answer, read.letter, read.rule)
    return unread_as(response, read.letter, read.rule)
