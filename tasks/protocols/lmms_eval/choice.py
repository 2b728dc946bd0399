"""lmms-eval's multiple-choice benchmarks with one pass an item: AI2D, SEED-Bench, RealWorldQA, MMStar, BLINK."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.api import Generation, Response, Rules, Sample, Verdict
from harness.scoring.aggregate import macro, micro
from harness.scoring.lmms_mcq import (
    by_letter,
    extract_letter,
    first_character,
    first_letter,
    judge_letter,
    labelled_or_whole,
)
from harness.scoring.prompts import LETTER_DIRECTLY, images_then, lettered
from harness.scoring.verdicts import scored, unread_as
from tasks import ai2d, blink, mmstar, realworldqa, seedbench, seedbench2_plus

SIXTEEN = Generation(max_new_tokens=16)
#: No length in the yaml: what its chat backends (vllm, huggingface) take then.
BACKEND_LENGTH = 4096
_SOURCE = "lmms-eval 0.7.2 (75571cfe) lmms_eval/tasks/"


# ---------------------------------------------------------------- AI2D


def _ai2d() -> Rules:
    return Rules(
        request=images_then(lettered, SIXTEEN),
        score=by_letter(labelled_or_whole),
        aggregate=micro(*ai2d.FACETS),
        source=f"{_SOURCE}ai2d: `A.` at the start, else the whole response without case and punctuation",
    )


# ---------------------------------------------------------------- SEED-Bench


def pictured(sample: Sample) -> str:
    """SEED-Bench-2-Plus: an option that names an image file is written `<image>`."""
    options = {letter: "<image>" if "jpg" in text or "png" in text else text for letter, text in sample.choices.items()}
    lines = "".join(f"\n{letter}. {text}" for letter, text in options.items())
    return f"{sample.question}{lines}\n{LETTER_DIRECTLY}"


_STOP = ("ASSISTANT:",)


def _seed(name: str, prompt: Callable[[Sample], str], length: int, facets: tuple[str, ...]) -> Rules:
    return Rules(
        request=images_then(prompt, Generation(max_new_tokens=length, stop=_STOP)),
        score=by_letter(first_character),
        aggregate=micro(*facets),
        source=f"{_SOURCE}{name}: the first character of the response",
    )


# ---------------------------------------------------------------- RealWorldQA


def realworldqa_score(sample: Sample, response: Response) -> Verdict:
    """A letter gold by the shared extractor over A-D, any other gold by equality without case and final dots."""
    gold = sample.answer.strip()
    if gold.upper() in ("A", "B", "C", "D"):
        read = extract_letter(response.text)
        return scored(read.letter == gold.upper(), *read) if read.letter else unread_as(response, *read)
    said = response.text.lower().strip().rstrip(".")
    return scored(said == gold.lower(), said, "whole response") if said else unread_as(response, "", "whole response")


# ---------------------------------------------------------------- MMStar


def mmstar_prompt(sample: Sample) -> str:
    """The stated question with its options and LLaVA's sentence without its full stop."""
    stated = sample.meta["stated"].strip().replace(" Please answer yes or no.", "")
    return f"{stated}\n{LETTER_DIRECTLY.removesuffix('.')}"


def mmstar_score(sample: Sample, response: Response) -> Verdict:
    """The shared extractor over A-D, whatever options the item has."""
    return judge_letter(sample, response, extract_letter(response.text))


# ---------------------------------------------------------------- BLINK


def blink_prompt(sample: Sample) -> str:
    """A note with the letters of the options, then the authors' prompt."""
    letters = ", ".join(sample.choices)
    note = f"Note: You only need to respond with {letters} without providing any additional information.\n"
    return f"{note}{sample.meta['prompt']}"


RULES: Mapping[str, Rules] = {
    "ai2d": _ai2d(),
    "ai2d_no_mask": _ai2d(),
    "seedbench": _seed("seedbench", lettered, BACKEND_LENGTH, seedbench.FACETS),
    "seedbench2_plus": _seed("seedbench_2_plus", pictured, 16, seedbench2_plus.FACETS),
    "realworldqa": Rules(
        request=images_then(realworldqa.prompt, SIXTEEN),
        score=realworldqa_score,
        aggregate=micro(*realworldqa.FACETS),
        source=f"{_SOURCE}realworldqa: shared extractor for letters, else equality",
    ),
    "mmstar": Rules(
        request=images_then(mmstar_prompt, Generation(max_new_tokens=BACKEND_LENGTH)),
        score=mmstar_score,
        aggregate=macro("l2_category", *mmstar.FACETS),
        source=f"{_SOURCE}mmstar: shared extractor; `average` is the mean of the 18 abilities' means",
    ),
    "blink": Rules(
        request=images_then(blink_prompt),
        score=by_letter(first_letter),
        aggregate=macro("sub_task", *blink.FACETS),
        source=f"{_SOURCE}blink: the first letter of the text; group blink_acc is the mean of 14 task accuracies",
    ),
}
