"""MMMU-Pro: college-level questions with ten options, as text and images (STANDARD) or as one picture (VISION)."""

from __future__ import annotations

from harness.api import (
    OFFICIAL,
    Generation,
    HubSet,
    Pick,
    Request,
    Response,
    Row,
    Rules,
    Sample,
    Scoring,
    Task,
    TsvFile,
    Verdict,
)
from harness.data.placeholders import interleave
from harness.data.schema import images, letter_choices, text, text_list
from harness.scoring.aggregate import micro
from harness.scoring.mmmu_parse import read_choice_after_answer
from harness.scoring.verdicts import scored
from tasks._disciplines import facets
from tasks._rows import image_cluster, labelled

# ---------------------------------------------------------------- data

STANDARD_TSV = TsvFile("MMMU_Pro_10c", md5="22cee868fe6b680d14b99bfff6db8172", rows=1730)
VISION_TSV = TsvFile("MMMU_Pro_V", md5="d01441a87b3dbe721b5a04652ae38009", rows=1730)
REVISION = "563f3e84bb3b90893083a1f039cfa13077f2302b"
STANDARD_HUB = HubSet("MMMU/MMMU_Pro", ("standard (10 options)",), revision=REVISION, rows=1730)
VISION_HUB = HubSet("MMMU/MMMU_Pro", ("vision",), revision=REVISION, rows=1730)


def from_tsv(row: Row) -> Sample:
    """Columns id (or index), question (absent in the vision file), A.., answer, category (the subject), image list."""
    name = text(row, "id" if "id" in row else "index")
    return _sample(row, name, text(row, "category", ""), letter_choices(row))


def from_hub(row: Row) -> Sample:
    """Columns id, question (standard only), options (a list as text), answer, subject, image or image_1 to image_7."""
    choices = labelled(text_list(row, "options"))
    return _sample(row, text(row, "id"), text(row, "subject", ""), choices)


def _sample(row: Row, name: str, subject: str, choices: dict[str, str]) -> Sample:
    answer = text(row, "answer")
    # The published row validation_Accounting_29 holds its three options as one: nothing can be right there.
    if answer not in choices and len(choices) > 1:
        raise ValueError(f"answer {answer!r} is none of the options {', '.join(choices)}")
    shown = images(row)
    return Sample(
        id=name,
        question=text(row, "question", ""),
        answer=answer,
        images=shown,
        choices=choices,
        meta=facets(subject) | ({"mode": mode} if (mode := text(row, "mode", "")) else {}),
        cluster=image_cluster(shown),
    )


# ---------------------------------------------------------------- prompt (mmmu-pro/prompts.yaml, mode "direct")

_ASK_LETTER = "Answer with the option letter from the given choices directly."
_ASK_LAST_LINE = (
    " The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes)"
    " where LETTER is one of options."
)
_GENERATION = Generation(max_new_tokens=4096)


def request_standard(sample: Sample) -> Request:
    """Question, lettered options, instruction; each image where the text names it, by its number."""
    options = "\n".join(f"{letter}. {option}" for letter, option in sample.choices.items())
    prompt = f"{sample.question}\n{options}\n{_ASK_LETTER}"
    return Request(interleave(prompt, sample.images), _GENERATION)


def request_vision(sample: Sample) -> Request:
    """The instruction and the screenshot that holds the question; the text of the question is not given."""
    return Request((_ASK_LETTER + _ASK_LAST_LINE, *sample.images), _GENERATION)


# ---------------------------------------------------------------- extraction and score (mmmu-pro/evaluate.py)


def score(sample: Sample, response: Response) -> Verdict | Scoring:
    """The letter after the last "Answer:", else MMMU's parser; what no rule reads becomes a random option."""
    choice = read_choice_after_answer(response.text, sample.choices)
    if choice.letter:
        return scored(choice.letter == sample.answer, choice.letter, choice.rule)
    return _guess(sample)


def _guess(sample: Sample) -> Scoring:
    letter = yield Pick(tuple(sample.choices))
    return scored(letter == sample.answer, letter or "", "mmmu:random")


# ---------------------------------------------------------------- aggregation and the tasks

_AGGREGATE = micro("discipline", "subject")
_SOURCE = "MMMU-Benchmark/MMMU at bb0b95a9, mmmu-pro (random fallback unseeded upstream)"


def _task(setting: str, tsv: TsvFile, hub: HubSet, rules: Rules) -> Task:
    return Task(
        name=f"mmmu_pro_{setting}",
        title=f"MMMU-Pro {setting}",
        tsv=tsv,
        hub=hub,
        from_tsv=from_tsv,
        from_hub=from_hub,
        rules={OFFICIAL: rules},
        mini=f"tasks.mini.mmmu_pro:{setting}_rows",
        licence="Apache-2.0",
        description="College-level questions with ten options; the published overall is the mean of both settings.",
        facets=("discipline", "subject"),
    )


STANDARD = _task("standard", STANDARD_TSV, STANDARD_HUB, Rules(request_standard, score, _AGGREGATE, _SOURCE))
VISION = _task("vision", VISION_TSV, VISION_HUB, Rules(request_vision, score, _AGGREGATE, _SOURCE))
