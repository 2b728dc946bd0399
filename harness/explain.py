"""One stored item from prompt to verdict, under every protocol that has rules for its task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness import registry
from harness.api import HarnessError, Judge, Request, Response, Sample, Task, Verdict
from harness.judge.recorded import NAME as RECORDED
from harness.judge.recorded import recorded_judge
from harness.rescore import sources
from harness.scoring.reasoning import REASONING_TAGS, strip_reasoning
from harness.scoring.score import open_judge, score_all
from harness.scoring.tried import Heard, Tried, watching
from harness.store import Cell, Result, Store


@dataclass(frozen=True)
class Explained:
    """An item of a model: what was asked and said, and what each protocol makes of it.

    `response` is as stored; `read` is the text that the rules saw, reasoning blocks cut off. `stored` names the
    protocols whose verdict is that of the run (a random pick depends on the items before it). `tried` lists, by
    protocol, the readings in the order in which they were tried.
    """

    model: str
    task: str
    sample: Sample
    request: Request
    response: Response
    read: str
    verdicts: Mapping[str, Verdict]
    stored: frozenset[str]
    tried: Mapping[str, Sequence[Tried]]


def explain(
    store: Store, item: str, *, task: str | None = None, model: str | None = None, judge: Judge | str = "rule"
) -> Iterator[Explained]:
    """Every answer to the item of that id in a run, optionally of one task or model only.

    Raises HarnessError if the run has no such item.
    """
    found = False
    for source in sources(store):
        if task not in (None, source.cell.task) or model not in (None, source.cell.model):
            continue
        key = next((key for id, key, _ in store.verdicts(source.cell) if id == item), None)
        if key is None:
            continue
        found = True
        yield _explained(store, source, item, key, judge)
    if not found:
        where = "".join(f" of {value}" for value in (task, model) if value)
        raise HarnessError(
            f"{store.folder} has no item {item!r}{where}", "`harness show RUN --task TASK` lists items with their ids"
        )


def _explained(store: Store, source: Result, item: str, key: bytes, judge: Judge | str) -> Explained:
    cell, of = source.cell, registry.task(source.cell.task)
    sample, response = store.samples(cell.task)[item], store.responses([key])[key]
    opened = recorded_judge(store, cell.model, cell.task) if judge == RECORDED else open_judge(judge)
    read = strip_reasoning(response.text, REASONING_TAGS)
    kept = _stored(store, cell, item)
    verdicts: dict[str, Verdict] = {}
    tried: dict[str, Sequence[Tried]] = {}
    for protocol in registry.protocols():
        if registry.covers(protocol, of):
            with watching() as steps:
                verdicts[protocol] = _verdict(of, protocol, sample, response, read, Heard(opened, steps))
            tried[protocol] = steps
            if verdicts[protocol].random and protocol in kept:
                verdicts[protocol] = kept[protocol]
    stored = frozenset(name for name, verdict in kept.items() if verdicts.get(name) == verdict)
    request = registry.rules(of, cell.protocol).request(sample)
    return Explained(cell.model, cell.task, sample, request, response, read, verdicts, stored, tried)


def _verdict(of: Task, protocol: str, sample: Sample, response: Response, read: str, judge: Judge) -> Verdict:
    seen = Response(read, response.finish, error=response.error)
    ((_, verdict),) = score_all(registry.rules(of, protocol), [(sample, seen)], judge)
    return verdict


def _stored(store: Store, cell: Cell, item: str) -> dict[str, Verdict]:
    """The run's own verdicts of the item, by protocol."""
    cells = [r.cell for r in store.results() if (r.cell.model, r.cell.task) == (cell.model, cell.task)]
    return {other.protocol: verdict for other in cells for id, _, verdict in store.verdicts(other) if id == item}


def image_sizes(task: str, sample_id: str, data: str) -> dict[str, tuple[int, int]]:
    """(width, height) of the item's images by their hash, read from `data` as `--data` of a run names it."""
    from io import BytesIO

    from PIL import Image as Pillow

    from harness.data import open_dataset

    shown = next((s.images for s in open_dataset(registry.task(task), data) if s.id == sample_id), ())
    return {image.sha256: Pillow.open(BytesIO(image.read())).size for image in shown}
