"""lmms-eval's MMMU and MMMU-Pro: the authors' parser with other forms of a bare letter, and its own open questions.

Source: lmms_eval/tasks/mmmu/utils.py, mmmu_pro/utils.py and _task_utils/mmmu_mcq_utils.py at 75571cfe.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from harness.api import Generation, Image, Pick, Request, Response, Rules, Sample, Scoring, Verdict
from harness.scoring.aggregate import micro
from harness.scoring.lmms_mcq import Read, judge_letter
from harness.scoring.mmmu_parse import LOOSE_FORMS, read_choice
from harness.scoring.prompts import LETTER_DIRECTLY, images_then
from harness.scoring.verdicts import scored, unread
from tasks import mmmu

_SOURCE = "lmms-eval 0.7.2 (75571cfe) lmms_eval/tasks/"
_NAMED = re.compile(r"<image \d+>")
_FACETS = ("discipline", "subject")


def _options(sample: Sample) -> str:
    return "\n".join(f"{letter}. {text}" for letter, text in sample.choices.items())


def _shown(sample: Sample, prompt: str) -> list[Image]:
    """The images that the prompt names, each once, in the order of their names (construct_prompt and sorted)."""
    names = sorted(set(_NAMED.findall(prompt)))
    numbers = [int(name[len("<image ") : -1]) for name in names]
    missing = [number for number in numbers if not 1 <= number <= len(sample.images)]
    if missing:
        raise ValueError(f"item {sample.id} names <image {missing[0]}> but has {len(sample.images)} images")
    return [sample.images[number - 1] for number in numbers]


# ---------------------------------------------------------------- MMMU


def mmmu_prompt(sample: Sample) -> str:
    """mmmu_val: question, `A. option` lines, an empty line and the instruction."""
    if sample.choices:
        return f"{sample.question}\n{_options(sample)}\n\n{LETTER_DIRECTLY}"
    return f"{sample.question}\n\nAnswer the question using a single word or phrase."


def mmmu_request(sample: Sample) -> Request:
    """The images stand at the places of `<image N>` in the order of the text, whatever N says (mmmu_doc_to_messages).

    Where an image is named twice there are more places than images: the text between the surplus ones is lost.
    """
    prompt = mmmu_prompt(sample)
    shown = _shown(sample, prompt)
    for number in range(1, 8):
        prompt = prompt.replace(f"<image {number}>", "<image>")
    pieces = prompt.split("<image>")
    parts: list[str | Image] = []
    for place, image in enumerate(shown):
        before = pieces[place].strip() if place < len(pieces) - 1 else ""
        parts += [before, image] if before else [image]
    return Request((*parts, pieces[-1].strip()), Generation(max_new_tokens=128))


def score_choice(sample: Sample, response: Response) -> Verdict | Scoring:
    """The authors' parser with `X ` and `X.` as bare letters; what it does not read becomes a random option."""
    choice = read_choice(response.text.strip(), sample.choices, LOOSE_FORMS)
    if choice.letter:
        return scored(choice.letter == sample.answer, *choice)
    return _guess(sample)


def _guess(sample: Sample) -> Scoring:
    letter = yield Pick(tuple(sample.choices))
    return scored(letter == sample.answer, letter or "", "mmmu:random")


def score_mmmu(sample: Sample, response: Response, open_questions_work: bool) -> Verdict | Scoring:
    """Multiple choice by `score_choice`, open questions by the authors' rule, which at 0.7.2 is never fulfilled.

    There the first parsed value is turned into text and its characters are compared one by one with the gold.
    """
    if sample.choices:
        return score_choice(sample, response)
    verdict = mmmu.score_open(sample, replace(response, text=response.text.strip()))
    return verdict if open_questions_work else replace(verdict, score=0.0, rule="mmmu:open, by character")


def _mmmu(open_questions_work: bool, version: str) -> Rules:
    return Rules(
        request=mmmu_request,
        score=partial(score_mmmu, open_questions_work=open_questions_work),
        aggregate=micro(*_FACETS),
        source=f"{_SOURCE}mmmu, {version}; random fallback seeded with 0, in dataset order",
    )


AT_0_7_2 = _mmmu(open_questions_work=False, version="as it is: open questions are always wrong")
AFTER_1471 = _mmmu(open_questions_work=True, version="with pull request #1471: open questions as the authors")


# ---------------------------------------------------------------- MMMU-Pro

_ASK = "Answer with the option letter from the given choices directly."
_LENGTH = Generation(max_new_tokens=256)


def standard_prompt(sample: Sample) -> str:
    """mmmu_pro_standard: the text keeps its `<image N>`."""
    return f"{sample.question}\n{_options(sample)}\n\n{_ASK}"


def standard_request(sample: Sample) -> Request:
    """The images that the prompt names, then the prompt."""
    prompt = standard_prompt(sample)
    return Request((*_shown(sample, prompt), prompt), _LENGTH)


def vision_prompt(sample: Sample) -> str:
    """mmmu_pro_vision: the question is in the image."""
    return _ASK


def score_vision(sample: Sample, response: Response) -> Verdict:
    """The whole response must be the letter: nothing is parsed."""
    said = response.text.strip()
    if said in sample.choices:
        return judge_letter(sample, response, Read(said, "whole response"))
    return unread(response, "whole response")


PRO_RULES: Mapping[str, Rules] = {
    "mmmu_pro_standard": Rules(
        standard_request, score_choice, micro(*_FACETS),
        f"{_SOURCE}mmmu_pro standard (10 options); random fallback seeded with 0, in dataset order",
    ),
    "mmmu_pro_vision": Rules(
        images_then(vision_prompt, _LENGTH), score_vision, micro(*_FACETS),
        f"{_SOURCE}mmmu_pro vision: the raw response must equal the letter",
    ),
}  # fmt: skip
