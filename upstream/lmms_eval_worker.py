"""lmms-eval's own scoring functions on our cases; runs in its environment: lmms_eval_worker.py CASES VERDICTS."""

from __future__ import annotations

import os
import time
from typing import Any

import hash_judge
from worker import Case, Scorer, main

os.environ.setdefault("OPENAI_API_KEY", "none")  # two modules want one when they are imported; nothing is sent
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pandas as pd
from lmms_eval.api.metrics import exact_match_hf_evaluate
from lmms_eval.tasks.ai2d import utils as ai2d
from lmms_eval.tasks.blink import utils as blink
from lmms_eval.tasks.chartqa import utils as chartqa
from lmms_eval.tasks.mathvista import utils as mathvista
from lmms_eval.tasks.mmbench import en_utils as mmbench
from lmms_eval.tasks.mmmu import utils as mmmu
from lmms_eval.tasks.mmmu_pro import utils as mmmu_pro
from lmms_eval.tasks.mmstar import utils as mmstar
from lmms_eval.tasks.mmvet import utils as mmvet
from lmms_eval.tasks.realworldqa import utils as realworldqa
from lmms_eval.tasks.seedbench import utils as seedbench
from lmms_eval.tasks.seedbench_2_plus import utils as seedbench_2_plus

mathvista.mathvista_evaluator.get_chat_response = lambda prompt, **_: hash_judge.answer(prompt)
mmvet.get_chat_response = lambda prompt, **_: (hash_judge.answer(prompt), "hash")
time.sleep = lambda _: None


def one(score: Any) -> Scorer:
    """A scorer of units of one case, from a function of (sample, response), stripped as Task.process_results does."""
    return lambda cases: score(cases[0]["sample"], cases[0]["response"].strip())


def score_ai2d(sample: Case, response: str) -> tuple[float, str]:
    doc = {"options": list(sample["choices"].values()), "answer": str(list(sample["choices"]).index(sample["answer"]))}
    [read] = ai2d.MultiChoiceRegexFilter().apply([[response]], [doc])  # its ^\s* makes the strip before it the same
    target = ai2d.ai2d_doc_to_target(doc, "mcq")
    found = exact_match_hf_evaluate([read], [target], ignore_case=True, ignore_punctuation=True)
    return found["exact_match"], read


def score_chartqa(sample: Case, response: str) -> tuple[float, str]:
    doc = {"type": "human_test", "answer": sample["answer"]}
    return chartqa.chartqa_process_results(doc, [response])["relaxed_overall"], response


def score_mathvista(sample: Case, response: str) -> tuple[float, str]:
    meta = sample["meta"]
    # The precision as a whole number, as in MathVista's own files: round() refuses 1.0, and upstream then reads None.
    doc = {
        "pid": sample["id"], "query": meta["query"], "choices": list(sample["choices"].values()) or None,
        "answer": sample["answer"], "precision": int(meta["precision"] or 0), "question_type": meta["question_type"],
        "answer_type": meta["answer_type"], "metadata": {},
    }  # fmt: skip
    found = mathvista.mathvista_process_results(doc, [response])["llm_as_judge_eval"]
    return found["true_false"], str(found["prediction"])


def score_mmbench(cases: list[Case]) -> tuple[float, str]:
    """The circular group as mmbench_en_dev_static reads it: no judge."""
    rows = []
    for case in cases:
        sample = case["sample"]
        options = {letter: sample["choices"].get(letter, "nan") for letter in "ABCD"}
        index = int(sample["id"])
        rows.append({"index": index, "question": sample["question"], "prediction": case["response"].strip(), **options})
    answers = {int(case["sample"]["id"]): case["sample"]["answer"] for case in cases}
    return mmbench.mmbench_evaluator.eval_sub_data(pd.DataFrame(rows), answers, static_only=True), ""


def score_mmvet(sample: Case, response: str) -> tuple[float, str]:
    doc = {
        "question_id": sample["id"], "question": sample["question"], "answer": sample["answer"], "capability": "rec",
        "image": None,
    }  # fmt: skip
    found = mmvet.mmvet_process_results(doc, [response])["gpt_eval_score"]
    return found["score"], found["pred_answer"]


def score_mmmu(sample: Case, response: str) -> tuple[float, str]:
    kind = "multiple-choice" if sample["choices"] else "open"
    doc = {
        "id": "validation_Accounting_1", "question_type": kind, "options": str(list(sample["choices"].values())),
        "answer": sample["answer"],
    }  # fmt: skip
    found = mmmu.mmmu_process_results(doc, [response])["mmmu_acc"]
    return mmmu.evaluate_mmmu([found])[1]["acc"], str(found["parsed_pred"][0])


def score_mmmu_pro_standard(sample: Case, response: str) -> tuple[float, str]:
    return _mmmu_pro({"question": sample["question"]}, sample, response)


def score_mmmu_pro_vision(sample: Case, response: str) -> tuple[float, str]:
    return _mmmu_pro({}, sample, response)


def _mmmu_pro(columns: Case, sample: Case, response: str) -> tuple[float, str]:
    options = str(list(sample["choices"].values()))
    doc = {"id": sample["id"], "subject": "Accounting", "answer": sample["answer"], "options": options, **columns}
    found = mmmu_pro.mmmu_pro_process_results(doc, [response])["mmmu_acc"]
    return mmmu_pro.evaluate_mmmu([found])[1]["acc"], str(found["parsed_pred"])


def score_mmstar(sample: Case, response: str) -> tuple[float, str]:
    doc = {"answer": sample["answer"], "category": "c", "l2_category": "l", "index": sample["id"]}
    return mmstar.mmstar_process_results(doc, [response])["average"]["score"], ""


def score_blink(sample: Case, response: str) -> tuple[float, str]:
    doc = {
        "idx": sample["id"], "answer": f"({sample['answer']})", "choices": list(sample["choices"].values()),
        "sub_task": "t",
    }  # fmt: skip
    found = blink.blink_process_results(doc, [response])["blink_acc"]
    return found["is_correct"], found["pred_parsed"]


def score_seedbench(sample: Case, response: str) -> tuple[float, str]:
    doc = {"answer": sample["answer"], "data_type": "image", "question_id": sample["id"]}
    found = seedbench.seed_process_result(doc, [response])["seed_all"]
    return seedbench.seed_aggregation_result([found]), found["pred"]


def score_seedbench2_plus(sample: Case, response: str) -> tuple[float, str]:
    doc = {"answer": sample["answer"], "question_image_type": "chart", "question_id": sample["id"]}
    found = seedbench_2_plus.seed_process_result(doc, [response])["seedbench_2_plus_all"]
    return seedbench_2_plus.seed_aggregation_result([found]), found["pred"]


def score_realworldqa(sample: Case, response: str) -> tuple[float, str]:
    return realworldqa.realworldqa_process_results({"answer": sample["answer"]}, [response])["exact_match"], ""


SCORERS: dict[str, Scorer] = {
    "ai2d": one(score_ai2d),
    "ai2d_no_mask": one(score_ai2d),
    "chartqa": one(score_chartqa),
    "mathvista": one(score_mathvista),
    "mmbench_en": score_mmbench,
    "mmbench_cn": score_mmbench,
    "ccbench": score_mmbench,
    "mmvet": one(score_mmvet),
    "mmmu": one(score_mmmu),
    "mmmu_pro_standard": one(score_mmmu_pro_standard),
    "mmmu_pro_vision": one(score_mmmu_pro_vision),
    "mmstar": one(score_mmstar),
    "blink": one(score_blink),
    "seedbench": one(score_seedbench),
    "seedbench2_plus": one(score_seedbench2_plus),
    "realworldqa": one(score_realworldqa),
}

if __name__ == "__main__":
    main(SCORERS)
