"""RealWorldQA: 765 questions about photographs taken from vehicles and in the street.

xAI publishes questions that carry their own instruction ("... only the letter of the correct option ..." or "... a
single word or number.") and no scoring code. `official` asks the question as stated and reads what it asks for: our
strict option letter where the gold is a letter, else the gold word or number itself, case and final dot ignored.
VLMEvalKit's TSV rewrites all 765 rows as multiple choice; there the authors' instruction follows the options.
"""

from __future__ import annotations

from harness.api import OFFICIAL, HubSet, Response, Row, Rules, Sample, Task, TsvFile, Verdict
from harness.data.schema import images, letter_choices, text
from harness.scoring.aggregate import micro
from harness.scoring.official_mcq import strict_letter
from harness.scoring.prompts import images_then, lettered
from harness.scoring.verdicts import scored, unread
from tasks._rows import image_cluster

TSV = TsvFile("RealWorldQA", md5="4de008f55dc4fd008ca9e15321dc44b7", rows=765)
HUB = HubSet("lmms-lab-encoder/RealWorldQA", revision="907c4e5228fd1703c710ed937601cb5f89ab8d5c", rows=765)
FACETS = ("form",)
WORD_OR_NUMBER = "Please answer directly with a single word or number."
LETTER_ONLY = "Please answer directly with only the letter of the correct option and nothing else."


def from_tsv(row: Row) -> Sample:
    """index, question, A-D, answer (a letter; in one row the word "Uphill"), image.

    A row without options is an error unless its question asks for a word or number itself.
    """
    choices = letter_choices(row)
    if not choices and WORD_OR_NUMBER not in text(row, "question"):
        raise ValueError("the row has no options in its columns A, B, ..")
    return _sample(text(row, "index"), row, choices)


def from_hub(row: Row) -> Sample:
    """Question (with its options, as lines, and its instruction), answer (letter, word or number), image."""
    return _sample(text(row, "index", ""), row, stated_options(text(row, "question")))


def _sample(index: str, row: Row, choices: dict[str, str]) -> Sample:
    shown, answer = images(row), text(row, "answer").strip()
    if choices and len(answer) == 1 and answer.isupper() and answer not in choices and answer not in "ABCD":
        raise ValueError(f"the answer {answer!r} is not one of the options {', '.join(choices)}")
    meta = {"form": "multiple choice" if choices else "open"}
    return Sample(index, text(row, "question"), answer, shown, choices, meta, image_cluster(shown))


def stated_options(question: str) -> dict[str, str]:
    """The options that a question states as lines `A. text`, in order from A; none for an open question."""
    choices: dict[str, str] = {}
    for line in question.splitlines():
        letter = chr(ord("A") + len(choices))
        if line.startswith(f"{letter}. "):
            choices[letter] = line[3:].strip()
    return choices


def prompt(sample: Sample) -> str:
    """The question as stated; where it does not state its options itself (the TSV), they and the instruction follow."""
    if not sample.choices or stated_options(sample.question):
        return sample.question.strip()
    return lettered(sample, LETTER_ONLY)


def score(sample: Sample, response: Response) -> Verdict:
    """A letter gold by `option_letter`; any other gold equals the whole response or the text of the option it names."""
    gold = sample.answer
    if gold in sample.choices:
        return strict_letter(sample, response)
    said = _plain(response.text)
    if not sample.choices:
        return scored(said == _plain(gold), said, "open answer") if said else unread(response, "empty")
    if said == _plain(gold):
        return scored(True, gold, "open answer")
    verdict = strict_letter(sample, response)
    named = _plain(sample.choices.get(verdict.extracted, ""))
    return scored(True, verdict.extracted, verdict.rule) if named == _plain(gold) else verdict


def _plain(answer: str) -> str:
    return answer.strip().rstrip(".").casefold()


TASK = Task(
    name="realworldqa",
    title="RealWorldQA",
    tsv=TSV,
    hub=HUB,
    from_tsv=from_tsv,
    from_hub=from_hub,
    rules={
        OFFICIAL: Rules(
            request=images_then(prompt),
            score=score,
            aggregate=micro(*FACETS),
            source="xAI RealWorldQA: the question's own instruction; our strict reading of what it asks for",
        )
    },
    mini="tasks.mini.realworldqa:rows",
    licence="CC BY-ND 4.0",
    description="photographs from the street; letter, number or word",
    facets=FACETS,
)
