"""VLMEvalKit's MMMU, whose open questions become multiple choice with one option, and MMMU-Pro."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from string import ascii_uppercase

from harness.api import HarnessError, Image, Request, Response, Rules, Sample, Scoring, Verdict
from harness.scoring.aggregate import micro
from harness.scoring.can_infer import Infer, judged_option
from harness.scoring.prompts import images_then
from harness.scoring.vlmevalkit_tables import Rule, kept_options, kept_sample, through_tables
from tasks.protocols.vlmevalkit.choice import GREEDY, prompt

_PLACE = "<image "
_AGGREGATE = micro("discipline", "subject")


def interleaved(sample: Sample, text: str) -> Request:
    """Images by their number where the text names them (split_MMMU): the others are not shown.

    A text that names none comes after all images. Only one digit is read, as upstream does.
    """
    first, *rest = text.split(_PLACE)
    if not rest:
        return Request((*sample.images, text), GREEDY)
    parts: list[str | Image] = [first] if first else []
    for piece in rest:
        number = int(piece[0]) if piece[:1].isdecimal() and piece[1:2] == ">" else 0
        if not 1 <= number <= len(sample.images):
            raise HarnessError(
                f"item {sample.id}: the text names {_PLACE}{piece[:2]} but there are {len(sample.images)} images",
                "check the row, or use the protocol official",
            )
        parts.append(sample.images[number - 1])
        if piece[2:]:
            parts.append(piece[2:])
    return Request(tuple(parts), GREEDY)


# ---------------------------------------------------------------- MMMU


def mmmu_request(sample: Sample) -> Request:
    """The standard text, its images by number; an open question has no options and no instruction."""
    return interleaved(sample, prompt(sample))


def as_choice(sample: Sample) -> Sample:
    """An item without an option A gets its gold as A and "Other Answers" as B; A is right then (MMMU_preproc)."""
    choices = kept_options(sample.choices)
    if "A" not in choices:
        choices = dict(sorted({**choices, "A": _gold(sample), "B": "Other Answers"}.items()))
    answer = sample.answer if sample.answer in ascii_uppercase else "A"
    return replace(sample, choices=kept_options(choices), answer=answer)


def _gold(sample: Sample) -> str:
    """The gold as the table has it: several are written as a Python list."""
    golds = sample.meta["golds"]
    return str(golds) if len(golds) > 1 else str(golds[0])


def _open_too(rule: Rule) -> Rule:
    def score(sample: Sample, response: Response) -> Verdict | Scoring:
        return rule(as_choice(sample), response)

    return score


def rules(infer: Infer, commit: str) -> dict[str, Rules]:
    """MMMU under one version."""
    return {
        "mmmu": Rules(
            request=mmmu_request,
            score=_open_too(through_tables(judged_option(infer))),
            aggregate=_AGGREGATE,
            source=f"VLMEvalKit {commit} MMMUDataset: can_infer; open questions by MMMU_preproc",
        )
    }


# ---------------------------------------------------------------- MMMU-Pro

_DIRECTLY = "Answer directly with the option letter from the given choices. "


def standard_request(sample: Sample) -> Request:
    """MMMU_Pro_10c: question, options and the instruction, images by number."""
    options = "".join(f"{letter}. {text}\n" for letter, text in kept_sample(sample).choices.items())
    tail = f"Options:\n{options}{_DIRECTLY}" if options else ""
    return interleaved(sample, f"Question: {sample.question}\n{tail}")


def vision_prompt(sample: Sample) -> str:
    """MMMU_Pro_V: the question is in the image."""
    return f"Answer the following multiple-choice question in the image. {_DIRECTLY}"


def after_answer(text: str) -> str:
    """What the _COT data sets score (cot_postproc): the last line that starts with "Answer:", behind it.

    If exactly one capital A-Z stands there, that letter; a response without such a line stays whole.
    """
    lines = [line.strip() for line in text.strip().split("\n")]
    tails = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)]
    if not tails:
        return text
    letters = set(tails[-1]).intersection(ascii_uppercase)
    return letters.pop() if len(letters) == 1 else tails[-1]


_MARK = "Answer:"


def _asked_for_thought(sample: Sample, standard: bool) -> bool:
    """Whether the item was asked as in MMMU_Pro_*_COT: the imported file says so (meta `mode`).

    Where nothing says so, only the standard setting's chain-of-thought prompt asks for a line "Answer: X".
    """
    return bool(sample.meta.get("mode", "cot" if standard else "direct") == "cot")


def _pro_score(rule: Rule, standard: bool) -> Rule:
    def score(sample: Sample, response: Response) -> Verdict | Scoring:
        if _asked_for_thought(sample, standard):
            response = replace(response, text=after_answer(response.text))
        return rule(sample, response)

    return score


def pro_rules(infer: Infer, commit: str) -> Mapping[str, Rules]:
    """MMMU-Pro: asked for direct answers; stored chains of thought are read as the _COT data sets do."""
    score = through_tables(judged_option(infer))
    source = f"VLMEvalKit {commit} MMMUProDataset, "
    return {
        "mmmu_pro_standard": Rules(
            standard_request, _pro_score(score, standard=True), _AGGREGATE, f"{source}MMMU_Pro_10c(_COT): can_infer"
        ),
        "mmmu_pro_vision": Rules(
            images_then(vision_prompt, GREEDY), _pro_score(score, standard=False), _AGGREGATE,
            f"{source}MMMU_Pro_V(_COT): can_infer",
        ),
    }  # fmt: skip
