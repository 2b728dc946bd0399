"""lmms-eval's MMBench (English, Chinese) and CCBench: circular, read by its own port of an early VLMEvalKit.

Source: lmms_eval/tasks/mmbench at 75571cfe: en_utils.py, cn_utils.py, cc_utils.py, mmbench_evals.py. Its dataset
writes "nan" where an option A-D is missing; the prompt leaves that out, the reading by option text and the judge's
prompt do not.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import Ask, Generation, Response, Rules, Sample, Scoring, State, Verdict
from harness.scoring.aggregate import micro
from harness.scoring.circular import circular_group
from harness.scoring.lmms_mcq import extract_letter, infer_mmbench, judge_letter
from harness.scoring.match_prompts import lmms_match_prompt
from harness.scoring.prompts import LETTER_DIRECTLY, images_then
from harness.scoring.verdicts import unread_as
from tasks import mmbench

NO_MATCH = "E"
_IN_CHINESE = "请直接使用所提供的选项字母作为答案回答。"
_SOURCE = "lmms-eval 0.7.2 (75571cfe) lmms_eval/tasks/mmbench: mmbench_evals.py, circular over index % 1e6"


def _prompt(sample: Sample, hint: str, tail: str) -> str:
    """Hint and question on one line, options A-E, an empty line and the instruction.

    All editions use the English "There are several options:" (cn_utils.py and cc_utils.py load mmbench.yaml).
    """
    options = "".join(f"\n{letter}. {text}" for letter, text in sample.choices.items() if letter in "ABCDE")
    return f"{hint}{sample.question} There are several options:{options}\n\n{tail}"


def english_prompt(sample: Sample) -> str:
    """mmbench_en_dev."""
    return _prompt(sample, _hint(sample), LETTER_DIRECTLY)


def chinese_prompt(sample: Sample) -> str:
    """mmbench_cn_dev. Upstream keeps a hint that its dataset writes as the text "nan"; here a missing hint is none."""
    return _prompt(sample, _hint(sample), _IN_CHINESE)


def ccbench_prompt(sample: Sample) -> str:
    """mmbench_cn_cc: no hint."""
    return _prompt(sample, "", _IN_CHINESE)


def _hint(sample: Sample) -> str:
    hint = sample.meta.get("hint", "")
    return f"{hint} " if hint else ""


def score(sample: Sample, response: Response) -> Verdict | Scoring:
    """The prefetch; what it does not read is the judge's, and without a judge the rule of mmbench_en_dev_static.

    Upstream draws at random (seed 2680) after three unreadable replies; here the item is `judge_failed`.
    """
    read = infer_mmbench(response.text, _four(sample))
    return judge_letter(sample, response, read) if read.letter else _ask(sample, response)


def _ask(sample: Sample, response: Response) -> Scoring:
    choices = _four(sample)
    prompt = lmms_match_prompt(sample.question, choices, response.text)
    data = {"id": sample.id, "question": sample.question, "choices": choices, "response": response.text}
    reply = yield Ask("match", prompt, data=data)
    if reply is None:
        read = extract_letter(response.text, choices)
        return judge_letter(sample, response, read._replace(rule=f"static: {read.rule}"))
    read = infer_mmbench(reply, choices)
    if not read.letter:
        return Verdict(State.JUDGE_FAILED, rule="judge", note=f"no option letter in the reply: {reply[:200]}")
    if read.letter == NO_MATCH and NO_MATCH not in sample.choices:
        return unread_as(response, NO_MATCH, "judge")
    return judge_letter(sample, response, read._replace(rule="judge"))


def _four(sample: Sample) -> dict[str, str]:
    """The options A to D as the dataset has them."""
    return {letter: sample.choices.get(letter, "nan") for letter in "ABCD"}


def _greedy(length: int, stop: tuple[str, ...] = ()) -> Generation:
    return Generation(max_new_tokens=length, stop=stop)


RULES: Mapping[str, Rules] = {
    "mmbench_en": Rules(
        images_then(english_prompt, _greedy(1024, ("ASSISTANT:",))), score,
        micro(*mmbench.FACETS, group=circular_group), _SOURCE,
    ),
    "mmbench_cn": Rules(
        images_then(chinese_prompt, _greedy(256)), score, micro(*mmbench.FACETS, group=circular_group), _SOURCE
    ),
    "ccbench": Rules(
        images_then(ccbench_prompt, _greedy(256)), score, micro("category", group=circular_group), _SOURCE
    ),
}  # fmt: skip
