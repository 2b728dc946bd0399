"""MMMU validation: 900 college-level questions of 30 subjects, 847 multiple-choice and 53 open."""

from __future__ import annotations

import json

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
from harness.data.schema import images, letter_choices, literal_list, text, text_list
from harness.scoring.aggregate import micro
from harness.scoring.mmmu_parse import open_correct, read_choice, read_open
from harness.scoring.verdicts import scored, unread
from tasks._disciplines import facets
from tasks._rows import image_cluster, labelled

# ---------------------------------------------------------------- data

TSV = TsvFile("MMMU_DEV_VAL", md5="585e8ad75e73f75dcad265dfd0417d64", rows=1050)
HUB = HubSet("lmms-lab-encoder/MMMU", revision="364f2e2eb107b36e07ff4c5a15f5947a759cef47", split="validation", rows=900)

_MULTIPLE_CHOICE = "multiple-choice"


def from_tsv(row: Row) -> Sample | None:
    """Columns id, split, question, A.., answer, category (subject), image list; an open row has no options."""
    if text(row, "split") != "validation":
        return None
    return _sample(row, letter_choices(row))


def from_hub(row: Row) -> Sample:
    """Columns id, question, options (a list as text), question_type, answer, image_1 to image_7."""
    is_choice = text(row, "question_type") == _MULTIPLE_CHOICE
    return _sample(row, labelled(text_list(row, "options")) if is_choice else {})


def _sample(row: Row, choices: dict[str, str]) -> Sample:
    name, answer = text(row, "id"), text(row, "answer")
    if choices and answer not in choices:
        raise ValueError(f"answer {answer!r} is none of the options {', '.join(choices)}")
    several = None if choices else literal_list(answer)
    split, _, rest = name.partition("_")
    subject, _, number = rest.rpartition("_")
    if not (split and subject and number.isdecimal()):
        raise ValueError(f"id {name!r} is not of the form <split>_<Subject>_<number>, e.g. validation_Art_1")
    shown = images(row)
    return Sample(
        id=name,
        question=text(row, "question"),
        answer=answer if several is None else json.dumps(several, ensure_ascii=False),
        images=shown,
        choices=choices,
        meta={**facets(subject), "golds": several or [answer]},
        cluster=image_cluster(shown),
    )


# ---------------------------------------------------------------- prompt (mmmu/configs/llava1.5.yaml)


def request(sample: Sample) -> Request:
    """Question, "(A) option" lines and instruction; each image where the text names it, by its number."""
    if sample.choices:
        options = "".join(f"({letter}) {option}\n" for letter, option in sample.choices.items())
        prompt = f"{sample.question}\n{options}\nAnswer with the option's letter from the given choices directly."
    else:
        prompt = f"{sample.question}\nAnswer the question using a single word or phrase."
    return Request(interleave(prompt, sample.images), Generation(max_new_tokens=1024))


# ---------------------------------------------------------------- extraction and score (mmmu/utils/eval_utils.py)


def score(sample: Sample, response: Response) -> Verdict | Scoring:
    """Multiple choice: bracketed letter, bare letter, option text, else a random option. Open: see score_open."""
    if not sample.choices:
        return score_open(sample, response)
    choice = read_choice(response.text, sample.choices)
    if choice.letter:
        return scored(choice.letter == sample.answer, choice.letter, choice.rule)
    return _guess(sample)


def score_open(sample: Sample, response: Response) -> Verdict:
    """Right if a gold text stands behind "is", "so" ... in a line, or a gold number among its numbers."""
    values = read_open(response.text)
    correct = open_correct(sample.meta["golds"], values)
    if not correct and (not response.text.strip() or response.finish == "length"):
        return unread(response, "mmmu:open")
    return scored(correct, json.dumps(values, ensure_ascii=False), "mmmu:open")


def _guess(sample: Sample) -> Scoring:
    letter = yield Pick(tuple(sample.choices))
    return scored(letter == sample.answer, letter or "", "mmmu:random")


def order(sample: Sample) -> tuple[str, int]:
    """Subjects in the order of CAT_SHORT2LONG (which is alphabetical), then the number of the item."""
    return sample.meta["subject"], int(sample.id.rpartition("_")[2])


# ---------------------------------------------------------------- aggregation and the task

TASK = Task(
    name="mmmu",
    title="MMMU (val)",
    tsv=TSV,
    hub=HUB,
    from_tsv=from_tsv,
    from_hub=from_hub,
    rules={
        OFFICIAL: Rules(
            request, score, micro("discipline", "subject"), "MMMU-Benchmark/MMMU at bb0b95a9", seed=42, order=order
        )
    },
    mini="tasks.mini.mmmu:rows",
    licence="Apache-2.0",
    description="College-level questions of 30 subjects with diagrams, tables, photographs and scores.",
    facets=("discipline", "subject"),
)
