"""VLMEvalKit's benchmarks with open answers: ChartQA, MathVista and MM-Vet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from harness.api import Ask, Response, Rules, Sample, Scoring, Verdict
from harness.data.schema import literal_list
from harness.scoring.aggregate import micro
from harness.scoring.can_infer import Infer, Read
from harness.scoring.mmvet_grade import ask_grade
from harness.scoring.prompts import images_then
from harness.scoring.relaxed_accuracy import relaxed_correct
from harness.scoring.verdicts import scored, unread, unread_as
from harness.scoring.vlmevalkit_prompts import mathvista_extraction_prompt, mmvet_grading_prompt
from harness.scoring.vlmevalkit_tables import kept_text
from tasks import mathvista, mmvet
from tasks.protocols.vlmevalkit.choice import GREEDY

# ---------------------------------------------------------------- ChartQA (utils/vqa_eval.py)


def chartqa_prompt(sample: Sample) -> str:
    """ImageVQADataset.build_prompt."""
    return f"{sample.question}\nAnswer the question using a single word or phrase."


def chartqa_score(sample: Sample, response: Response, swapped: bool) -> Verdict:
    """Relaxed accuracy against any element of a gold that is a list, else against its text.

    July 2024 hands prediction and gold over in the wrong order (issue 584): 5 % of the prediction, and a prediction
    of 0 is compared as text.
    """
    said, gold = kept_text(response.text).strip(), kept_text(sample.answer)
    golds = literal_list(gold)
    targets = [gold] if golds is None else golds
    right = any(relaxed_correct(target, said) if swapped else relaxed_correct(said, target) for target in targets)
    if not right and (not response.text.strip() or response.finish == "length"):
        return unread(response, "relaxed_accuracy")
    return scored(right, said, "relaxed_accuracy, swapped" if swapped else "relaxed_accuracy")


# ---------------------------------------------------------------- MathVista (utils/mathvista.py)


def mathvista_prompt(sample: Sample) -> str:
    """The question of VLMEvalKit's table is the authors' query."""
    query: str = sample.meta["query"]
    return query


def mathvista_score(sample: Sample, response: Response, infer: Infer) -> Verdict | Scoring:
    """A letter read by can_infer is the answer, even a wrong one; a number only where it is right, and not 0.

    Everything else goes to the judge. There is no nearest option and no rounding, and a list is never right.
    """
    read = _read(sample, response.text, infer)
    if read is not None and (_is_choice(sample) or (_right(sample, read) and float(read.letter))):
        return _verdict(sample, response, read, f"prefetch: {read.rule}")
    return _extract(sample, response, infer)


def _extract(sample: Sample, response: Response, infer: Infer) -> Scoring:
    data = {
        "id": sample.id,
        "response": response.text,
        "question_type": sample.meta["question_type"],
        "answer_type": sample.meta["answer_type"],
        "choices": list(sample.choices.values()),
    }
    prompt = mathvista_extraction_prompt(sample.meta["query"], kept_text(response.text))
    reply = yield Ask("extract", prompt, max_tokens=128, data=data)
    read = None if reply is None else _read(sample, reply, infer)
    return unread(response, "extract") if read is None else _verdict(sample, response, read, "extract")


def _verdict(sample: Sample, response: Response, read: Read, rule: str) -> Verdict:
    if _is_choice(sample) and read.letter not in sample.choices:
        return unread_as(response, read.letter, rule)
    return scored(_right(sample, read), read.letter, rule)


def _is_choice(sample: Sample) -> bool:
    return bool(sample.meta["question_type"] == "multi_choice")


def _read(sample: Sample, text: str, infer: Infer) -> Read | None:
    """The option letter, or the text of a number of the answer's type; None where post_check gives nothing."""
    if _is_choice(sample):
        return infer(text, sample.choices)
    convert = _NUMBER.get(sample.meta["answer_type"])
    if convert is None:
        return None
    try:
        return Read(str(convert(text)), sample.meta["answer_type"])
    except ValueError:
        return None


_NUMBER: Mapping[str, Callable[[str], float]] = {"integer": int, "float": float}


def _right(sample: Sample, read: Read) -> bool:
    if _is_choice(sample):
        first = next(letter for letter, text in sample.choices.items() if text == sample.answer)
        return read.letter == first
    convert = _NUMBER[sample.meta["answer_type"]]
    return convert(read.letter) == convert(sample.answer)


# ---------------------------------------------------------------- MM-Vet (utils/mmvet.py)

_TRIES = 5


def mmvet_prompt(sample: Sample) -> str:
    """The question alone."""
    return sample.question


def mmvet_score(sample: Sample, response: Response, max_tokens: int) -> Scoring:
    """Five tries at rising temperature; the whole reply must be a number in [0, 1]."""
    prompt = mmvet_grading_prompt(sample, kept_text(response.text))
    tries = [(prompt, 0.5 * attempt) for attempt in range(_TRIES)]
    return ask_grade(sample, response, tries, _whole_grade, max_tokens)


def _whole_grade(reply: str) -> float | None:
    try:
        grade = float(reply)
    except ValueError:
        return None
    return grade if 0 <= grade <= 1 else None


def rules(infer: Infer, commit: str, grade_tokens: int, swapped: bool) -> dict[str, Rules]:
    """The three benchmarks under one version."""
    source = f"VLMEvalKit {commit} vlmeval/dataset/utils/"
    return {
        "chartqa": Rules(
            request=images_then(chartqa_prompt, GREEDY),
            score=partial(chartqa_score, swapped=swapped),
            aggregate=micro("split"),
            source=f"{source}vqa_eval.py: relaxed accuracy, the best element of a gold list",
        ),
        "mathvista": Rules(
            request=images_then(mathvista_prompt, GREEDY),
            score=partial(mathvista_score, infer=infer),
            aggregate=micro(*mathvista.FACETS),
            source=f"{source}mathvista.py: post_check",
        ),
        "mmvet": Rules(
            request=images_then(mmvet_prompt, GREEDY),
            score=partial(mmvet_score, max_tokens=grade_tokens),
            aggregate=micro(*mmvet.FACETS),
            source=f"{source}mmvet.py: gpt-4-turbo, the whole reply is the grade",
        ),
    }
