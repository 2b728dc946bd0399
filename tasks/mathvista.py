"""MathVista testmini: 1000 mathematical questions about figures; the answer is an option, a number or a list."""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import (
    OFFICIAL,
    Ask,
    Generation,
    HubSet,
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
from harness.data.schema import images, is_missing, text, text_list
from harness.scoring.aggregate import micro
from harness.scoring.mathvista_normalise import normalise, read_literally
from harness.scoring.mathvista_prompts import choice_lines, extraction_prompt, hint, query
from harness.scoring.verdicts import scored, unread
from tasks._rows import image_cluster, labelled

# ---------------------------------------------------------------- data

TSV = TsvFile("MathVista_MINI", md5="f199b98e178e5a2a20e7048f5dcb0464", rows=1000)
HUB = HubSet("AI4Math/MathVista", revision="2b6ad69445fbb5695c9b165475e8decdbeb97747", split="testmini", rows=1000)

_FACETS = ("question_type", "answer_type", "task", "category", "context", "grade", "language", "source")
FACETS = (*_FACETS, "skills")


def from_hub(row: Row) -> Sample:
    """Columns pid, question, choices, unit, precision, answer, question_type, answer_type, metadata, decoded_image."""
    metadata = row.get("metadata")
    if not isinstance(metadata, Mapping):
        raise ValueError(f"the column 'metadata' is not a mapping: {str(metadata)[:80]!r}")
    columns = {**metadata, **row, "image": row.get("decoded_image")}  # the column image is a path in the repository
    return _sample(columns, text(row, "pid"), text(row, "question"), text(row, "unit", ""))


def from_tsv(row: Row) -> Sample:
    """Columns index, question (the whole query), choices, answer, question_type, answer_type, task, skills, image."""
    asked = text(row, "question")
    if asked.startswith("Hint: "):
        asked = asked.partition("\nQuestion: ")[2]
        asked = asked.removesuffix("\n".join(["", *choice_lines(_choices(row))]).rstrip())
    return _sample(row, text(row, "index"), asked, "")


def _choices(row: Row) -> list[str]:
    return text_list(row, "choices") if text(row, "question_type") == "multi_choice" else []


def _sample(row: Row, index: str, question: str, unit: str) -> Sample:
    question_type, answer_type, answer = text(row, "question_type"), text(row, "answer_type"), text(row, "answer")
    choices = _choices(row)
    if choices and answer not in choices:
        raise ValueError(f"the answer {answer!r} is not one of the options {', '.join(choices)}")
    # The precision of a float is the number of decimals of its gold; a TSV need not have the column.
    decimals = len(answer.partition(".")[2]) if answer_type == "float" else None
    precision = decimals if is_missing(row.get("precision")) else float(row["precision"])
    shown = images(row)
    facets = {name: text(row, name) for name in _FACETS if not is_missing(row.get(name))}
    asked = query(hint(question_type, answer_type, precision), question, unit, choices)
    return Sample(
        id=index,
        question=question,
        answer=answer,
        images=shown,
        choices=labelled(choices) if choices else {},
        meta={**facets, "skills": text_list(row, "skills"), "unit": unit, "precision": precision, "query": asked},
        cluster=image_cluster(shown),
    )


# ---------------------------------------------------------------- prompt (data/query.json)


def request(sample: Sample) -> Request:
    """The figure and the query: hint, question with its unit, options."""
    return Request((*sample.images, sample.meta["query"]), Generation(max_new_tokens=1024))


# ---------------------------------------------------------------- extraction and score


def score(sample: Sample, response: Response, judge_tokens: int = 1024) -> Scoring:
    """A response that is an answer is read literally; from any other the judge extracts it (extract_answer.py).

    An extraction that upstream's own result file states is taken as it is, as calculate_score.py does.
    """
    meta, choices = sample.meta, list(sample.choices.values())
    kinds = {"question_type": meta["question_type"], "answer_type": meta["answer_type"], "choices": choices}
    literal = read_literally(response.text, **kinds)
    reply = yield Ask(
        "extract",
        extraction_prompt(meta["query"], response.text),
        max_tokens=judge_tokens,
        data={"id": sample.id, "response": response.text, **kinds},
        recorded_only=literal is not None,
    )
    if reply is not None:
        return compare(sample, response, reply.strip(), "mathvista:extract")
    if literal is not None:
        return compare(sample, response, literal, "mathvista:literal")
    return unread(response, "mathvista:extract")


def compare(sample: Sample, response: Response, extraction: str, rule: str) -> Verdict:
    """Right if the normalised extraction equals the gold; unread if it is no number where one is due."""
    meta = sample.meta
    answer = normalise(
        extraction, meta["question_type"], meta["answer_type"], list(sample.choices.values()), meta["precision"]
    )
    return unread(response, rule) if answer is None else scored(answer == sample.answer, answer, rule)


# ---------------------------------------------------------------- the task

TASK = Task(
    name="mathvista",
    title="MathVista (testmini)",
    tsv=TSV,
    hub=HUB,
    from_tsv=from_tsv,
    from_hub=from_hub,
    rules={OFFICIAL: Rules(request, score, micro(*FACETS), "lupantech/MathVista at 53d52587")},
    mini="tasks.mini.mathvista:rows",
    licence="CC BY-SA 4.0",
    description="Mathematical reasoning over figures, tables, geometry and photographs.",
    facets=FACETS,
)
