"""Do two backends give the same table, and if not, where do they part? The certificate of `harness parity`.

Both answer the same items greedily, with log-probs. Then, item by item: the tokens of the prompt, the images' pixels,
the settings, the tokens of the answer up to where they part, the log-probabilities on the way there, the verdicts.
Engines whose log-probabilities agree within a tolerance can still part where two tokens are almost equally likely: at
most twice the tolerance apart. Such a *tie* is counted and shown, but is no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from harness import registry
from harness.api import HarnessError, Model, Request, Response, Verdict
from harness.evaluation import Evaluator
from harness.models.options import close_model
from harness.models.seen import Seen
from harness.store import Cell
from harness.watched import Watched, read_seen

TOLERANCE = 0.01
_PIXELS = 1e-3  # share by which mean and standard deviation of the pixels may differ: bf16 rounds by less
_SHOWN = 50  # divergences kept in a certificate


class Outcome(StrEnum):
    """What a certificate says; UNDECIDED where too little could be looked at to say PARITY."""

    PARITY = "PARITY"
    DIFFERS = "DIFFERS"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where two answers part: the place (0: the first new token), each side's token and its own log-probability of it
    (None: the answer had ended), and by how much one of the engines prefers its own token (None: neither can say).
    """

    task: str
    id: str
    place: int
    token_a: int | None
    token_b: int | None
    logprob_a: float | None
    logprob_b: float | None
    margin: float | None
    tie: bool


@dataclass(slots=True)
class TaskParity:
    """One task: of `items`, how many agree in what. `images` and `prompts` count items where both sides showed them;
    `gap` is the largest difference of a token's log-probability before the answers part, `mean_gap` the mean, over
    `tokens` of them.
    """

    task: str
    items: int = 0
    prompts_compared: int = 0
    prompts_same: int = 0
    images_compared: int = 0
    images_same: int = 0
    with_images: int = 0
    settings_same: int = 0
    answers_compared: int = 0
    answers_same: int = 0
    ties: int = 0
    tokens: int = 0
    gap: float = 0.0
    mean_gap: float = 0.0
    verdicts_same: int = 0
    verdicts_apart: int = 0
    errors: int = 0
    score_a: float = 0.0
    score_b: float = 0.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """The outcome and everything that it rests on; `sides` say what was compared."""

    outcome: Outcome
    reasons: Sequence[str]
    sides: Sequence[Mapping[str, Any]]
    tolerance: float
    tasks: Sequence[TaskParity]
    divergences: Sequence[Divergence]
    conditions: Mapping[str, Any]
    made: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the manifest holds them."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Side:
    """A model of the comparison: its name in the run, and how it is opened."""

    label: str
    open: Callable[[], Model]
    describe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Item:
    """One item, as both sides answered it."""

    id: str
    request: Request
    seen: tuple[Seen | None, Seen | None]
    responses: tuple[Response, Response]
    verdicts: tuple[Verdict, Verdict]


def parity(
    evaluator: Evaluator, a: Side, b: Side, tasks: Sequence[str], *, tolerance: float = TOLERANCE,
    conditions: Mapping[str, Any] | None = None,
) -> Certificate:  # fmt: skip
    """Answer the tasks with both sides into the evaluator's run and compare them; the certificate goes into the run's
    notes (`finish_run` then writes it into the manifest). `conditions` are kept with it.

    HarnessError where a side cannot be opened.
    """
    first, marks = _answer(evaluator, a, tasks), []
    marks.append(first.fingerprint())
    close_model(first)  # it leaves memory before the next one comes
    del first
    second = _answer(evaluator, b, tasks)
    marks.append(second.fingerprint())
    found = [_compare(evaluator, (a.label, b.label), task) for task in tasks]
    divergences = [d for _, apart in found for d in apart]
    explained = _explain(evaluator, second, a, divergences, tolerance)
    close_model(second)
    parts = [part for part, _ in found]
    for part in parts:
        part.ties = sum(d.tie for d in explained if d.task == part.task)
    reasons = list(_reasons(parts, explained, tolerance))
    missing = list(_unseen(parts))
    outcome = Outcome.DIFFERS if reasons else Outcome.UNDECIDED if missing else Outcome.PARITY
    sides = [
        {"label": side.label, "fingerprint": mark, **side.describe} for side, mark in zip((a, b), marks, strict=True)
    ]
    order = sorted(explained, key=lambda d: d.tie)
    certificate = Certificate(
        outcome, [*reasons, *missing], sides, tolerance, parts, order[:_SHOWN], dict(conditions or {})
    )
    _keep(evaluator, certificate)
    return certificate


def _answer(evaluator: Evaluator, side: Side, tasks: Sequence[str]) -> Model:
    model = side.open()
    evaluator.evaluate(Watched(model, side.label, evaluator.store.folder), tasks, label=side.label)
    return model


def _keep(evaluator: Evaluator, certificate: Certificate) -> None:
    """Put the certificate into the run's notes, in place of an older one of the same two sides."""
    new = certificate.to_json()
    labels = [side["label"] for side in new["sides"]]
    old = evaluator.store.meta().get("parity", [])
    kept = [c for c in old if [side["label"] for side in c["sides"]] != labels]
    evaluator.store.set_meta(parity=[*kept, new])


# ---------------------------------------------------------------- comparing


def _compare(evaluator: Evaluator, labels: tuple[str, str], name: str) -> tuple[TaskParity, list[Divergence]]:
    """Everything but the margins."""
    part, apart = TaskParity(name), []
    gaps: list[float] = []
    for item in _items(evaluator, labels, name):
        part.items += 1
        part.errors += any(response.finish == "error" for response in item.responses)
        part.with_images += bool(item.request.images)
        _compare_prompts(part, item)
        same = item.verdicts[0] == item.verdicts[1]
        part.verdicts_same += same
        ids = [response.token_ids for response in item.responses]
        if all(ids):
            part.answers_compared += 1
            place = _parting(ids[0], ids[1])
            part.answers_same += place is None
            gaps += _gaps(item, place)
            if place is not None:
                apart.append(_divergence(name, item, place))
        if not same and ids[0] == ids[1]:
            part.verdicts_apart += 1
    part.tokens = len(gaps)
    part.gap, part.mean_gap = max(gaps, default=0.0), sum(gaps) / max(1, len(gaps))
    for result in evaluator.store.results():
        if result.cell.task == name and result.cell.model == labels[0]:
            part.score_a = result.metrics.score
        elif result.cell.task == name and result.cell.model == labels[1]:
            part.score_b = result.metrics.score
    return part, apart


def _compare_prompts(part: TaskParity, item: _Item) -> None:
    a, b = item.seen
    counts = {response.prompt_tokens for response in item.responses}
    if a is None or b is None or not (a.ids and b.ids):
        part.settings_same += a is None or b is None or _same_settings(a, b)
        if len(counts) > 1 and 0 not in counts:  # at least their number is known to differ
            part.prompts_compared += 1
        return
    part.prompts_compared += 1
    part.prompts_same += a.ids == b.ids
    part.settings_same += _same_settings(a, b)
    if a.pixels is not None and b.pixels is not None:
        part.images_compared += 1
        grids = (a.grid, b.grid)
        part.images_same += (None in grids or a.grid == b.grid) and a.pixels.near(b.pixels, _PIXELS)


def _same_settings(a: Seen, b: Seen) -> bool:
    return all(a.settings[name] == b.settings[name] for name in a.settings.keys() & b.settings.keys())


def _parting(a: Sequence[int], b: Sequence[int]) -> int | None:
    """The first place where two answers differ; None where they do not."""
    place = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return None if place == len(a) == len(b) else place


def _gaps(item: _Item, place: int | None) -> list[float]:
    """Differences of the tokens' log-probabilities before the answers part."""
    a, b = (response.logprobs[:place] for response in item.responses)
    return [abs(x - y) for x, y in zip(a, b, strict=False)]


def _divergence(task: str, item: _Item, place: int) -> Divergence:
    tokens = [response.token_ids[place] if place < len(response.token_ids) else None for response in item.responses]
    logprobs = [response.logprobs[place] if place < len(response.logprobs) else None for response in item.responses]
    return Divergence(task, item.id, place, tokens[0], tokens[1], logprobs[0], logprobs[1], None, False)


def _items(evaluator: Evaluator, labels: tuple[str, str], name: str) -> Iterator[_Item]:
    store, task = evaluator.store, registry.task(name)
    rules = registry.rules(task, evaluator.protocol)
    samples = {sample.id: sample for sample in evaluator.open(task)[1]}
    seen = [read_seen(store.folder, label) for label in labels]
    rows = [store.verdicts(Cell(label, name, evaluator.protocol, evaluator.judge.name)) for label in labels]
    for (id, key_a, verdict_a), (_, key_b, verdict_b) in zip(*rows, strict=True):
        responses = store.responses([key_a, key_b])
        yield _Item(
            id,
            rules.request(samples[id]),
            (seen[0].get(key_a), seen[1].get(key_b)),
            (responses[key_a], responses[key_b]),
            (verdict_a, verdict_b),
        )


# ---------------------------------------------------------------- explaining


def _explain(
    evaluator: Evaluator, second: Model, a: Side, apart: Sequence[Divergence], tolerance: float
) -> list[Divergence]:
    """The divergences with their margins, by a side that can score given tokens: B, which is open, else A."""
    if not apart:
        return []
    model = second if hasattr(second, "score") else a.open()
    if not hasattr(model, "score"):
        return list(apart)
    requests, prefixes = _requests(evaluator, apart), _prefixes(evaluator, a.label, apart)
    found = [_scored(model, requests[d.task, d.id], prefixes[d.task, d.id], d, tolerance) for d in apart]
    if model is not second:
        close_model(model)
    return found


def _scored(model: Any, request: Request, prefix: Sequence[int], d: Divergence, tolerance: float) -> Divergence:
    """A divergence with the difference of the two tokens' log-probabilities after what both had written."""
    if d.token_a is None or d.token_b is None:  # one was cut where the other went on
        return d
    try:
        pairs = [(request, (*prefix[: d.place], token)) for token in (d.token_a, d.token_b)]
        a, b = (scores.logprobs[-1] for _, scores in sorted(model.score(pairs)))
    except HarnessError:
        return d  # these tokens cannot be scored: the divergence stays unexplained
    margin = abs(a - b)
    return Divergence(**{**asdict(d), "margin": margin, "tie": margin <= 2 * tolerance})


def _requests(evaluator: Evaluator, apart: Sequence[Divergence]) -> dict[tuple[str, str], Request]:
    found: dict[tuple[str, str], Request] = {}
    for name in dict.fromkeys(d.task for d in apart):
        task = registry.task(name)
        rules, wanted = registry.rules(task, evaluator.protocol), {d.id for d in apart if d.task == name}
        for sample in evaluator.open(task)[1]:
            if sample.id in wanted:
                found[name, sample.id] = rules.request(sample)
    return found


def _prefixes(evaluator: Evaluator, label: str, apart: Sequence[Divergence]) -> dict[tuple[str, str], Sequence[int]]:
    """A side's own tokens, by task and item."""
    store = evaluator.store
    found: dict[tuple[str, str], Sequence[int]] = {}
    for name in dict.fromkeys(d.task for d in apart):
        wanted = {d.id for d in apart if d.task == name}
        for id, key, _ in store.verdicts(Cell(label, name, evaluator.protocol, evaluator.judge.name)):
            if id in wanted:
                found[name, id] = store.responses([key])[key].token_ids
    return found


# ---------------------------------------------------------------- judging


def _reasons(parts: Sequence[TaskParity], apart: Sequence[Divergence], tolerance: float) -> Iterator[str]:
    """Why the sides differ, a sentence each."""
    counted = (
        ("prompts_compared", "prompts_same", "items have other prompt tokens"),
        ("images_compared", "images_same", "items have other image grids or pixels"),
        ("items", "settings_same", "items are decoded with other settings"),
    )
    for of, same, sentence in counted:
        if apart_here := sum(getattr(part, of) - getattr(part, same) for part in parts):
            where = ", ".join(part.task for part in parts if getattr(part, of) != getattr(part, same))
            yield f"{apart_here} {sentence} ({where})"
    worst = max(parts, key=lambda part: part.gap)
    if worst.gap > tolerance:
        yield f"log-probabilities of the same tokens differ by up to {worst.gap:.4f} ({worst.task})"
    if real := [d for d in apart if not d.tie]:
        first = real[0]
        yield f"{len(real)} answers part where it is no tie (first: {first.task} {first.id}, token {first.place})"
    if verdicts := sum(part.verdicts_apart for part in parts):
        yield f"{verdicts} items with the same answer have another verdict"
    if errors := sum(part.errors for part in parts):
        yield f"{errors} items ended in an error on one side at least"


def _unseen(parts: Sequence[TaskParity]) -> Iterator[str]:
    """What could not be looked at, although PARITY rests on it."""
    items = sum(part.items for part in parts)
    if not items:
        yield "no item was compared"
    if hidden := items - sum(part.prompts_compared for part in parts):
        yield f"the prompt tokens of {hidden} items are not shown by both sides"
    if hidden := items - sum(part.answers_compared for part in parts):
        yield f"the answer tokens of {hidden} items are not shown by both sides"
    elif items and not sum(part.tokens for part in parts) and any(part.answers_same for part in parts):
        yield "the log-probabilities of the answers are not shown by both sides"
