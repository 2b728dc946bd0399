"""How the authors of multiple-choice benchmarks read a response. Every rule is linear in the response's length."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.api import Ask, Response, Sample, Scoring, State, Verdict
from harness.scoring.match_prompts import blink_match_prompt
from harness.scoring.verdicts import scored, unread

# ---------------------------------------------------------------- MMStar


def mmstar(sample: Sample, response: Response) -> Verdict:
    """MMStar's rule (eval/vlmeval/evaluate/mmstar.py at 88f243ab), case ignored.

    The response opens with the letter, `(x`, `option x` or `the answer is x`; nothing else is read.
    """
    gold = sample.answer.lower().strip().replace("\n", " ")
    said = response.text.lower().strip().replace("\n", " ")
    letters = {letter.lower() for letter in sample.choices} | {gold}
    for opening in ("", "(", "option ", "the answer is "):
        letter = said[len(opening) : len(opening) + 1]
        if letter in letters and said.startswith(opening):
            return scored(letter == gold, letter.upper(), f"opens with {opening!r}" if opening else "opens with letter")
    return unread(response, "no letter at the start")


# ---------------------------------------------------------------- BLINK

_BARE = frozenset("ABCDE")
_BRACKETED = tuple(f"({letter})" for letter in "ABCDE")


def blink(sample: Sample, response: Response) -> Verdict | Scoring:
    """BLINK's rule (eval/test_benchmark.py analyze_answer at 2d6a779b).

    The whole response is `A` or `(A)` (A to E, offered or not); else exactly one offered `(X)` stands as a word in
    the last paragraph, or in the text; else the judge matches the response to an option.
    """
    text = response.text
    if text in _BARE:
        return scored(text == sample.answer, text, "bare letter")
    if text in _BRACKETED:
        return scored(text[1] == sample.answer, text[1], "bare letter")
    offered = {f"({letter})" for letter in sample.choices}
    anywhere = offered.intersection(text.split())
    last = offered.intersection(text.rpartition("\n\n")[2].split())
    if len(last) == 1:
        return _blink_word(sample, last.pop(), "(X) in the last paragraph")
    if len(anywhere) == 1:
        return _blink_word(sample, anywhere.pop(), "(X) in the text")
    return _blink_match(sample, response)


def _blink_word(sample: Sample, word: str, rule: str) -> Verdict:
    return scored(word[1] == sample.answer, word[1], rule)


def _blink_match(sample: Sample, response: Response) -> Scoring:
    """The judge's reply must be `(X)`: upstream compares it with the gold as it is; a bare X is read alike.

    A judge without a rule for it (None) leaves it to `named_option`, which on the authors' eight stored runs names
    1904 options, 1898 of them what GPT-3.5 replied.
    """
    data = {
        "id": sample.id, "question": sample.question, "choices": dict(sample.choices), "response": response.text,
    }  # fmt: skip
    reply = yield Ask("match", blink_match_prompt(sample, response.text), data=data)
    if reply is None:
        named = named_option(response.text, sample.choices)
        return scored(named == sample.answer, named, "the only option named") if named else unread(response, "match")
    letter = reply.strip()
    letter = letter[1] if letter in _BRACKETED or letter == "(Z)" else letter
    if letter == "Z":
        return Verdict(State.UNPARSED, extracted="Z", rule="judge")
    if letter not in _BARE:
        return Verdict(State.JUDGE_FAILED, rule="judge", note=f"no option letter in the reply: {reply[:200]}")
    return scored(letter == sample.answer, letter, "judge")


_WORD_BREAKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}\"'`<>?_（）。，：、；！？", " "))


def named_option(text: str, choices: Mapping[str, str]) -> str:
    """The only offered letter that stands as a word, else the only option whose text occurs; "" if there is none."""
    words = set(text.translate(_WORD_BREAKS).split())
    letters = [letter for letter in choices if letter in words]
    if not letters:
        lowered = text.casefold()
        letters = [letter for letter, option in choices.items() if option and option.casefold() in lowered]
    return letters[0] if len(letters) == 1 else ""


# ---------------------------------------------------------------- benchmarks whose authors define no reading

_MARKUP = " \t\r\n*_`\"'"
# The response opens with an option label: "B", "(B)", "B.", "B) text", "**B**: text".
_LABEL = re.compile(r"[(\[]?([A-Z])(?:\s*$|[)\].:]|[*_`]|[ \t]*\n)")
# "the answer is (B)", "Answer: B", "the correct option is B"; letters are upper-case, gaps are bounded.
_PHRASE = re.compile(
    r"(?i:answer|(?:correct|right|best)\s{1,2}(?:option|choice))(?i:\s{1,2}is)?\s{0,2}[:：]?[\s*_(\[\"'`]{0,6}([A-Z])(?!\w)"
)


def option_letter(text: str, choices: Mapping[str, str]) -> tuple[str, str] | None:
    """(letter, rule) that a response names, or None. Our strict reading where authors define none:

    the whole response is one letter (either case); it opens with an option label; its last "answer is X" or
    "answer: X"; the whole response is the text of exactly one option. Never a letter found somewhere.
    """
    bare = text.strip(_MARKUP + "()[].:,").upper()
    if len(bare) == 1 and bare in choices:
        return bare, "letter"
    opening = text.lstrip(_MARKUP)
    label = _LABEL.match(opening)
    if label and label[1] in choices:
        return label[1], "label"
    lowered = text.lower()  # a cheap look before the search: most responses hold no cue
    cued = any(cue in lowered for cue in ("answer", "option", "choice"))
    named = [found[1] for found in _PHRASE.finditer(text) if found[1] in choices] if cued else []
    if named:
        return named[-1], "phrase"
    said = text.strip(_MARKUP + ".").casefold()
    equal = [letter for letter, option in choices.items() if option.strip(_MARKUP + ".").casefold() == said]
    return (equal[0], "option text") if said and len(equal) == 1 else None


def strict_letter(sample: Sample, response: Response) -> Verdict:
    """Right if `option_letter` reads the gold letter; a response without one is unparsed."""
    read = option_letter(response.text, sample.choices)
    if read is None:
        return unread(response, "no option letter")
    return scored(read[0] == sample.answer, *read)
