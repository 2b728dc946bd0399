"""Gen-Data (paper 3.2-3.3): the responses of the masked teacher and of the student to every question of a stage.

A response is known by its content: the model (weights, mask, processor), the question, how it was sampled, and its
place among the samples. It is stored before it is used, so a killed run goes on where it was, and methods that ask the
same model the same question share the responses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness import interrupt
from harness.api import Generation, HarnessError, Model, Request, Response
from trainers.questions import TrainingQuestion
from trainers.recipe import Sampling
from trainers.shards import Shards

TEACHER, STUDENT, GOLD = "teacher", "student", "gold"

_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("question", pa.string()),
        ("index", pa.int32()),
        ("source", pa.string()),
        ("ratio", pa.float64()),
        ("text", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("logprobs", pa.list_(pa.float32())),
        ("finish", pa.string()),
        ("prompt_tokens", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class Generated:
    """A response to train on. `source` is teacher, student or gold; `ratio` the teacher's mask ratio (0 for others);
    `logprobs` are the behaviour policy's, empty for gold.
    """

    question: str
    index: int
    source: str
    ratio: float
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Who answers, and how: `fingerprint` is the model's content, mask included."""

    fingerprint: str
    source: str
    ratio: float
    generation: Generation

    @property
    def key(self) -> str:
        """Hash of everything but the question and the sample's place."""
        settings = asdict(self.generation)
        settings.pop("n")
        body = json.dumps([self.fingerprint, settings], sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()[:20]


def sampling(settings: Sampling, n: int, seed: int) -> Generation:
    """The recipe's sampling as generation settings."""
    return Generation(
        max_new_tokens=settings.max_new_tokens, temperature=settings.temperature, top_p=settings.top_p,
        top_k=settings.top_k, repetition_penalty=settings.repetition_penalty, n=n, seed=seed, logprobs=True,
    )  # fmt: skip


class GenData:
    """The stored responses of a run, in `folder`, which methods and seeds share."""

    def __init__(self, folder: Path, writer: int = 0) -> None:
        self._folder = folder
        self._writer = writer
        self._open: dict[str, Shards] = {}
        self.generated = 0

    def missing(self, asked: Asked, questions: Sequence[TrainingQuestion]) -> list[int]:
        """Places of the questions that have no complete set of responses yet."""
        store = self._store(asked)
        names = range(asked.generation.n)
        return [i for i, q in enumerate(questions) if any(f"{q.key}/{s}" not in store for s in names)]

    def generate(self, model: Model, asked: Asked, questions: Sequence[TrainingQuestion], batch: int) -> list[str]:
        """Answer the questions that are missing, `batch` questions a file; returns errors, one a question that failed.

        A failed question is not stored: it is asked again on the next run.
        """
        missing = self.missing(asked, questions)
        if not missing:
            return []
        store = self._store(asked)
        waiting: dict[int, list[Response]] = {}
        rows: list[dict[str, Any]] = []
        errors: list[str] = []
        requests = interrupt.until_asked(_requests(questions, missing, asked.generation))
        with interrupt.finishing():
            try:
                for at, response in model.generate(requests):
                    waiting.setdefault(at, []).append(response)
                    if len(waiting[at]) < asked.generation.n:
                        continue
                    question, answers = questions[missing[at]], waiting.pop(at)
                    failed = [answer for answer in answers if answer.finish == "error"]
                    if failed:
                        errors.append(f"question {question.sample.id}: {failed[0].error}")
                        continue
                    rows += [_row(question, asked, answer) for answer in answers]
                    if len(rows) >= batch * asked.generation.n:
                        store.append(rows)
                        rows = []
            finally:
                store.append(rows)
        self.generated += (len(missing) - len(errors)) * asked.generation.n
        if len(errors) == len(missing):
            raise HarnessError(
                f"none of {len(missing)} questions could be answered by the {asked.source}; the first: {errors[0]}",
                "look at the model and its processor; the same command again asks only what is missing",
            )
        return errors

    def responses(self, asked: Asked, questions: Sequence[TrainingQuestion]) -> dict[str, list[Generated]]:
        """Question key -> its stored responses in order; questions without a complete set are left out."""
        store = self._store(asked)
        names = range(asked.generation.n)
        rows = store.rows(f"{question.key}/{sample}" for question in questions for sample in names)
        found: dict[str, list[Generated]] = {}
        for question in questions:
            of_question = [rows.get(f"{question.key}/{sample}") for sample in names]
            if all(of_question):
                found[question.key] = [_generated(row, asked) for row in of_question if row]
        return found

    def refresh(self) -> None:
        """See what other processes have stored."""
        for store in self._open.values():
            store.refresh()

    def _store(self, asked: Asked) -> Shards:
        if asked.key not in self._open:
            folder = self._folder / asked.key
            self._open[asked.key] = Shards(folder, _SCHEMA, self._writer)
            about = {"fingerprint": asked.fingerprint, "source": asked.source, "ratio": asked.ratio}
            settings = asdict(replace(asked.generation, n=1))
            (folder / "about.json").write_text(json.dumps({**about, "generation": settings}, indent=1))
        return self._open[asked.key]


def _requests(
    questions: Sequence[TrainingQuestion], missing: Sequence[int], generation: Generation
) -> Iterator[Request]:
    return (replace(questions[place].request, generation=generation) for place in missing)


def _row(question: TrainingQuestion, asked: Asked, answer: Response) -> dict[str, Any]:
    return {
        "key": f"{question.key}/{answer.sample_index}",
        "question": question.key,
        "index": answer.sample_index,
        "source": asked.source,
        "ratio": asked.ratio,
        "text": answer.text,
        "token_ids": list(answer.token_ids),
        "logprobs": list(answer.logprobs),
        "finish": answer.finish,
        "prompt_tokens": answer.prompt_tokens,
    }


def _generated(row: dict[str, Any], asked: Asked) -> Generated:
    """A stored row; who asked decides source and ratio (an unmasked teacher is the same model in every schedule)."""
    return Generated(
        row["question"], row["index"], asked.source, asked.ratio, row["text"], tuple(row["token_ids"]),
        tuple(row["logprobs"]), row["finish"],
    )  # fmt: skip
