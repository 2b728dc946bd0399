"""VLMEvalKit's own scoring functions on our cases; runs in the vlmeval environment: vlmeval_worker.py CASES VERDICTS.

Options are matched exactly, as `--judge exact_matching` does; MM-Vet and MathVista ask the judge of hash_judge.
"""

from __future__ import annotations

import math
import string
from typing import Any

import hash_judge
import pandas as pd
from vlmeval.dataset.image_mcq import MMMUProDataset
from vlmeval.dataset.utils.mathvista import MathVista_auxeval, post_check
from vlmeval.dataset.utils.mmvet import MMVet_auxeval
from vlmeval.dataset.utils.multiple_choice import MMMU_preproc, eval_vanilla, prefetch_circular_group
from vlmeval.dataset.utils.vqa_eval import hit_calculate, process_line
from worker import Case, Scorer, main


class Judge:
    """What build_judge gives, for upstream: the answer depends on the prompt alone."""

    def generate(self, prompt: str, **_: Any) -> str:
        return hash_judge.answer(prompt)


def row(case: Case) -> dict[str, Any]:
    """A row of upstream's prediction table."""
    sample = case["sample"]
    columns = {"index": sample["id"], "question": sample["question"], "answer": sample["answer"]}
    # Upstream's tables pass through pandas: an empty prediction comes back missing, and str() of that is "nan"; an
    # option "nan" is missing, too.
    choices = {letter: text for letter, text in sample["choices"].items() if text != "nan"}
    return {**columns, **choices, "prediction": str(case["response"]) or "nan", "GT": sample["answer"]}


def choice(cases: list[Case]) -> tuple[float, str]:
    """A multiple-choice question asked once."""
    found = eval_vanilla(None, row(cases[0]))
    return found["hit"], found["log"]


def chain(cases: list[Case]) -> tuple[float, str]:
    """MMMU-Pro's standard setting, which asks for a chain of thought: MMMU_Pro_10c_COT."""
    item = row(cases[0])
    found = eval_vanilla(None, {**item, "prediction": MMMUProDataset.cot_postproc(None, item["prediction"])})
    return found["hit"], found["log"]


def mmmu(cases: list[Case]) -> tuple[float, str]:
    """MMMU: an open question becomes a choice between its gold and `Other Answers`."""
    filled = {**dict.fromkeys("AB", math.nan), **row(cases[0])}
    item = dict(MMMU_preproc(pd.DataFrame([filled])).iloc[0])
    item["GT"] = item["answer"] if item["answer"] in list(string.ascii_uppercase) else "A"
    found = eval_vanilla(None, item)
    return found["hit"], found["log"]


def circular(cases: list[Case]) -> tuple[float, str]:
    """A circular group: what its prefetch does not decide is wrong under exact matching."""
    cases = sorted(cases, key=lambda case: int(case["sample"]["id"]))
    found = prefetch_circular_group(pd.DataFrame([row(case) for case in cases]))
    return (found["hit"], found["log"]) if found else (0, "not decided by the prefetch")


def chartqa(cases: list[Case]) -> tuple[float, str]:
    found = process_line(row(cases[0]), method="relaxed_accuracy")
    return hit_calculate([found], "ChartQA_TEST")[0], found["pred"]


def mathvista(cases: list[Case]) -> tuple[float, str]:
    sample = cases[0]["sample"]
    meta, choices = sample["meta"], list(sample["choices"].values())
    letter = string.ascii_uppercase[choices.index(sample["answer"])] if choices else ""
    line = {
        **row(cases[0]), "question": meta["query"], "choices": str(choices), "answer_option": letter,
        "question_type": meta["question_type"], "answer_type": meta["answer_type"],
    }  # fmt: skip
    line["res"] = MathVista_auxeval(Judge(), line)["res"]
    return post_check(line, prefetch=False), str(line["res"])


def mmvet(cases: list[Case]) -> tuple[float, str]:
    found = MMVet_auxeval(Judge(), row(cases[0]))
    return found["score"], found["log"]


_CHOICE = ("ai2d", "ai2d_no_mask", "mmstar", "blink", "seedbench", "seedbench2_plus", "realworldqa",
           "mmmu_pro_vision")  # fmt: skip
_CIRCULAR = ("mmbench_en", "mmbench_cn", "mmbench_en_v11", "mmbench_cn_v11", "ccbench")
SCORERS: dict[str, Scorer] = {
    **dict.fromkeys(_CHOICE, choice),
    **dict.fromkeys(_CIRCULAR, circular),
    "mmmu_pro_standard": chain,
    "mmmu": mmmu,
    "chartqa": chartqa,
    "mathvista": mathvista,
    "mmvet": mmvet,
}

if __name__ == "__main__":
    main(SCORERS)
