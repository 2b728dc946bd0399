"""lmms-eval's benchmarks with open answers: ChartQA, MathVista (testmini_cot) and MM-Vet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.api import Generation, Response, Rules, Sample, Scoring, Verdict
from harness.scoring.aggregate import micro
from harness.scoring.mathvista_prompts import choice_lines, hint
from harness.scoring.mmvet_grade import HEADER, TASK, ask_grade, graded_row, head, read_grade
from harness.scoring.prompts import images_then
from tasks import chartqa, mathvista, mmvet

_SOURCE = "lmms-eval 0.7.2 (75571cfe) lmms_eval/tasks/"


# ---------------------------------------------------------------- ChartQA


def chartqa_prompt(sample: Sample) -> str:
    """A single word only, not "word or phrase"."""
    return f"{sample.question}\nAnswer the question with a single word."


# ---------------------------------------------------------------- MathVista


def mathvista_prompt(sample: Sample) -> str:
    """mathvista_testmini_cot: question with its unit, choices, and the hint last (the official query has it first)."""
    meta = sample.meta
    unit = f" (Unit: {meta['unit']})" if meta["unit"] else ""
    asked = f"Question: {sample.question}{unit}"
    wish = hint(meta["question_type"], meta["answer_type"], meta["precision"])
    return "\n".join([asked, *choice_lines(list(sample.choices.values())), wish]).strip()


def mathvista_score(sample: Sample, response: Response) -> Verdict | Scoring:
    """The authors' reading; the judge sees the official query, not this prompt, and has 256 tokens."""
    return mathvista.score(sample, replace(response, text=response.text.strip()), judge_tokens=256)


# ---------------------------------------------------------------- MM-Vet

_STEP_BY_STEP = (
    "First please perform reasoning, and think step by step to provide best answer to the following question: \n\n"
)
# Upstream's header cell holds the name of a variable, and no empty line stands before the table.
_HEAD = head(TASK, ("gpt_query_prompt", *HEADER[1:]))
_TEMPERATURES = (0.0, 0.5, 1.0, 1.5)


def mmvet_prompt(sample: Sample) -> str:
    """A wish for reasoning, then the question."""
    return f"{_STEP_BY_STEP}{sample.question}"


def mmvet_score(sample: Sample, response: Response) -> Scoring:
    """Four tries at rising temperature; upstream writes 0.0 when the judge cannot be reached, here `judge_failed`."""
    row = graded_row(sample.question, sample.answer, response.text.strip()).removesuffix(" ")
    prompt = f"{_HEAD}\n{row}"
    tries = [(prompt, temperature) for temperature in _TEMPERATURES]
    return ask_grade(sample, response, tries, read_grade, max_tokens=128)


RULES: Mapping[str, Rules] = {
    "chartqa": Rules(
        request=images_then(chartqa_prompt, Generation(max_new_tokens=16)),
        score=chartqa.score,
        aggregate=micro("split"),
        source=f"{_SOURCE}chartqa: relaxed_overall, the share of all 2500",
    ),
    "mathvista": Rules(
        request=images_then(mathvista_prompt, Generation(max_new_tokens=16384)),
        score=mathvista_score,
        aggregate=micro(*mathvista.FACETS),
        source=f"{_SOURCE}mathvista testmini_cot: the authors' extraction and normalisation",
    ),
    "mmvet": Rules(
        request=images_then(mmvet_prompt, Generation(max_new_tokens=1024)),
        score=mmvet_score,
        aggregate=micro(*mmvet.FACETS),
        source=f"{_SOURCE}mmvet: gpt-4o-2024-11-20, first word of the reply",
    ),
}
