"""Score stored responses again under other protocols: nothing is inferred, the items come from the run itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness import registry
from harness.api import Judge, Verdict
from harness.code import code_fingerprint
from harness.judge.recorded import NAME as RECORDED
from harness.judge.recorded import recorded_judge
from harness.scoring.reasoning import REASONING_TAGS
from harness.scoring.score import open_judge
from harness.store import Cell, Result, Store
from harness.stored import score_stored


@dataclass(frozen=True)
class Flip:
    """An item on which protocols disagree: verdict by protocol."""

    model: str
    task: str
    sample_id: str
    verdicts: dict[str, Verdict]


def rescore(
    store: Store,
    protocols: Sequence[str],
    *,
    judge: Judge | str = "rule",
    reasoning_tags: Sequence[tuple[str, str]] = REASONING_TAGS,
    skip_missing: bool = False,
) -> list[Result]:
    """Score every (model, task) of a run under each protocol and keep the results beside the old ones.

    A protocol without rules for a task is a HarnessError, or is left out with `skip_missing`.
    """
    named = None if judge == RECORDED else open_judge(judge)
    results: list[Result] = []
    for source in sources(store):
        opened = named or recorded_judge(store, source.cell.model, source.cell.task)
        rows = store.keys(source.cell)
        kept = store.samples(source.cell.task)
        samples, keys = [kept[id] for id, _ in rows], [key for _, key in rows]
        task = registry.task(source.cell.task)
        for protocol in protocols:
            if skip_missing and not registry.covers(protocol, task):
                continue
            rules = registry.rules(task, protocol)
            results.append(
                score_stored(
                    Cell(source.cell.model, task.name, protocol, opened.name), rules, samples, keys, store, opened,
                    reasoning_tags, fingerprint=source.fingerprint, edition=source.edition,
                    data_sha256=source.data_sha256, code=code_fingerprint(task, rules),
                    skipped_rows=source.skipped_rows, stage=source.stage,
                )
            )  # fmt: skip
    return results


def sources(store: Store) -> list[Result]:
    """One stored result for each (model, task): the one whose prompts were answered."""
    first: dict[tuple[str, str], Result] = {}
    for result in store.results():
        first.setdefault((result.cell.model, result.cell.task), result)
    return list(first.values())


def flips(store: Store, results: Sequence[Result]) -> list[Flip]:
    """Items whose score is not the same under all of the given results of one model and task."""
    found: list[Flip] = []
    groups: dict[tuple[str, str], list[Cell]] = {}
    for result in results:
        groups.setdefault((result.cell.model, result.cell.task), []).append(result.cell)
    for (model, task), cells in groups.items():
        table: dict[str, dict[str, Verdict]] = {}
        for cell in cells:
            for id, _, verdict in store.verdicts(cell):
                table.setdefault(id, {})[cell.protocol] = verdict
        for id, verdicts in table.items():
            if len({verdict.score for verdict in verdicts.values()}) > 1:
                found.append(Flip(model, task, id, verdicts))
    return found
