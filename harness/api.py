"""The plain types that every part of the project shares: standard library only, no torch, no pandas.

The way of one item::

    Sample -> Task.rules[protocol].request(sample) -> Request -> Model.generate(requests) -> Response
           -> rules.score(sample, response) -> Verdict -> rules.aggregate(scored) -> Metrics
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

OFFICIAL = "official"


class HarnessError(Exception):
    """An error the user can act on: `message` names the file and row, `remedy` says what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}\n  remedy: {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


# ---------------------------------------------------------------- what goes in


@dataclass(frozen=True, slots=True)
class Image:
    """An encoded image (PNG, JPEG, ...) known by its content; `read` fetches the bytes when they are needed."""

    sha256: str
    read: Callable[[], bytes] = field(repr=False, compare=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> Image:
        """Wrap encoded image bytes that are already in memory."""
        return cls(hashlib.sha256(data).hexdigest(), lambda: data)


@dataclass(frozen=True, slots=True)
class Sample:
    """One benchmark item as its data source states it.

    `question` may hold `<image N>` placeholders (1-based, by index into `images`). `choices` maps letter to text, in
    order. `answer` is the gold as upstream stores it (a letter, a number, a word, a JSON list). `cluster` names items
    that are not independent (same image, same circular group): intervals and tests resample clusters.
    """

    id: str
    question: str
    answer: str
    images: tuple[Image, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """How to decode. `temperature == 0` is greedy; `top_k == 0` means no limit; `n` responses per request."""

    max_new_tokens: int = 1024
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    n: int = 1
    seed: int = 0
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One user turn: text and images interleaved, in the order in which the model sees them."""

    parts: tuple[str | Image, ...]
    generation: Generation = Generation()
    system: str = ""

    @property
    def text(self) -> str:
        """The prompt as text, each image shown as `<image>`."""
        return "".join(part if isinstance(part, str) else "<image>" for part in self.parts)

    @property
    def images(self) -> tuple[Image, ...]:
        """The images in the order in which the prompt shows them."""
        return tuple(part for part in self.parts if isinstance(part, Image))


# ---------------------------------------------------------------- what comes out


@dataclass(frozen=True, slots=True)
class Response:
    """What a model said. `finish` is `stop`, `length` (cut at max_new_tokens) or `error` (then `error` says why).

    `token_ids` are the generated tokens, `logprobs` (if asked for) the behaviour policy's log-probability of each.
    """

    text: str
    finish: str = "stop"
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    prompt_tokens: int = 0
    error: str = ""
    sample_index: int = 0


class State(StrEnum):
    """What became of an item. Only `scored` items were read by a rule; all others count 0 and are shown."""

    SCORED = "scored"
    UNPARSED = "unparsed"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    JUDGE_FAILED = "judge_failed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one item: the extracted answer, the rule that fired, a score in [0, 1].

    `random` marks a choice drawn at random because the named protocol does so; `note` is the judge's explanation.
    """

    state: State
    score: float = 0.0
    extracted: str = ""
    rule: str = ""
    random: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A scoring rule's question to the judge; `data` holds the fields a rule-based judge decides by.

    `recorded_only`: the rule decides by itself unless a judge has a recorded answer; no other judge is asked (None).
    `purpose` is `match` (response to option), `extract` (answer from response), `grade` (score in [0, 1]) or
    `reward` (0/1). The judge answers with text, or with None where it has no rule for the purpose.
    """

    purpose: str
    prompt: str
    system: str = ""
    temperature: float = 0.0
    max_tokens: int = 256
    data: Mapping[str, Any] = field(default_factory=dict)
    recorded_only: bool = False


@dataclass(frozen=True, slots=True)
class Pick:
    """A scoring rule's request for the protocol's own random fallback; the loop draws, in the protocol's order."""

    options: tuple[str, ...]


#: A rule that needs a judge or the protocol's random fallback is a generator: it yields Ask or Pick, is sent the
#: answer (a judge may answer None: "no rule of mine decides"), and returns the Verdict.
Scoring = Generator[Ask | Pick, str | None, Verdict]


@dataclass(frozen=True, slots=True)
class Scored:
    """A sample with its verdict: what aggregation sees."""

    sample: Sample
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Unit:
    """What a benchmark counts as one question (a circular group is one unit) and its weight in the overall score.

    Every aggregate here is a weighted mean of unit scores (weights sum to 1), so that paired statistics work alike
    for micro and macro averages.
    """

    id: str
    cluster: str
    score: float
    weight: float


@dataclass(frozen=True, slots=True)
class Group:
    """One cell of a per-category table: score in percent, number of units."""

    score: float
    n: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """A task's result. `score` and `stderr` (cluster-robust) in percent; `groups` maps facet -> name -> Group."""

    score: float
    stderr: float
    n: int
    groups: Mapping[str, Mapping[str, Group]]
    units: tuple[Unit, ...] = field(repr=False, default=())


# ---------------------------------------------------------------- plug-ins


@dataclass(frozen=True, slots=True)
class Rules:
    """How one protocol asks, reads and counts one task. Plain functions; `source` names the upstream rule.

    `seed` and `order` reproduce a protocol's random fallback: Picks are drawn from `random.Random(seed)` over the
    items sorted by `order` (None: dataset order). `whole` scores and counts all answers of a task at once where code
    outside does so; `score` then serves one item by itself.
    """

    request: Callable[[Sample], Request]
    score: Callable[[Sample, Response], Verdict | Scoring]
    aggregate: Callable[[Sequence[Scored]], Metrics]
    source: str = ""
    seed: int = 0
    order: Callable[[Sample], Any] | None = None
    whole: Callable[[Sequence[tuple[Sample, Response]], Judge], tuple[Sequence[Verdict], Metrics]] | None = None


#: A row of a source: column -> value, images already decoded to Image tuples under "image" (or "image_1", ...).
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TsvFile:
    """A VLMEvalKit TSV: file name without `.tsv`, the published MD5 and number of rows of the whole set."""

    name: str
    md5: str = ""
    rows: int = 0


@dataclass(frozen=True, slots=True)
class HubSet:
    """A Hugging Face dataset: repository, configs (several are concatenated), split, pinned revision (a commit)."""

    repo: str
    configs: tuple[str, ...] = ("default",)
    split: str = "test"
    revision: str = "main"
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark. `from_tsv` and `from_hub` turn one row of the official schemas into a Sample (errors: ValueError
    with a sentence; the source adds file and row), or None where the row is no item of this task (another split or
    modality in the same file: MMMU's dev rows, SEED-Bench's videos). `mini` is "module:function" of the generator
    of mini rows, which have the TSV schema. `rules` maps protocol name -> Rules and holds at least `official`.
    `prepare` turns what `--data` names into a file of items where code outside writes them (a bridge).
    """

    name: str
    title: str
    tsv: TsvFile
    hub: HubSet
    from_tsv: Callable[[Row], Sample | None]
    from_hub: Callable[[Row], Sample | None]
    rules: Mapping[str, Rules]
    mini: str = ""
    licence: str = ""
    description: str = ""
    facets: tuple[str, ...] = ()
    prepare: Callable[[str], Path] | None = None


class Model(Protocol):
    """Anything that answers requests. `fingerprint` hashes weights, processor and chat template."""

    name: str

    def fingerprint(self) -> str:
        """Content hash of everything that decides the model's answers."""
        ...

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """Yield (index of the request, response) as they finish, in any order; `generation.n` responses each.

        A request that cannot be answered yields a Response with finish "error"; other requests go on.
        """
        ...


class Judge(Protocol):
    """Answers Asks. The text, None (no rule decides), or an Exception object for an Ask that failed for good.

    A judge whose answers were recorded by upstream says so by an attribute `recorded` that is true.
    """

    name: str

    def answer(self, asks: Sequence[Ask]) -> Sequence[str | Exception | None]:
        """One answer per Ask, in order; failures are returned, not raised, so that finished ones are kept."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a trainer: a checkpoint that the harness evaluates at once through `model`.

    `budget` counts what fairness compares: optimizer steps, student tokens, questions; `meta` says teacher, r, seed.
    """

    method: str
    name: str
    index: int
    checkpoint: str
    model: Model
    budget: Mapping[str, int] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
