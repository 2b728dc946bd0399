"""From a file's records to the items that they answer: those that the file states, a table's, or a data set's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.api import HarnessError, Image, Response, Sample, Task
from harness.data.imports.record import Record
from harness.data.imports.vlmevalkit import rows

# A file may write golds otherwise than the data set, but not for most items unless it is about other items.
_AGREEMENT = 0.5
#: Gives the sample that a record answers, or None for a record that is no item of the task.
Find = Callable[[Record], Sample | None]


@dataclass(frozen=True)
class Imported:
    """Items with their responses; `judged` maps (sample id, purpose) to what upstream's judge answered.

    `left_out` counts records that are no items of the task, `repeated` those of items that have a response already;
    `stand_in` says that the texts of items are not known.
    """

    samples: Sequence[Sample]
    responses: Sequence[Response]
    judged: Mapping[tuple[str, str], str]
    edition: str
    left_out: int
    repeated: int
    stand_in: bool


def assemble(
    task: Task, records: Iterable[Record], *, items: Path | None = None, data: str | Path | None = None
) -> Imported:
    """Join records with their items: of `data` (as --data of a run), of the table `items`, or of the records.

    Raises HarnessError for a response without item, two responses for one item, a row that is no row of the task, and
    golds that mostly differ from those of the items.
    """
    if items and data:
        raise HarnessError("the items come from two places", "give --items or --data, not both")
    find, edition = _stated(task), ""
    if data is not None:
        find, edition = _from_data(task, data)
    elif items is not None:
        find = _from_table(task, items)
    pairs: dict[str, tuple[Sample, Record]] = {}
    left_out = repeated = 0
    for record in records:
        sample = None if record.foreign else find(record)
        if sample is None:
            left_out += 1
        elif sample.id not in pairs:
            pairs[sample.id] = sample, record
        elif record.first_wins or pairs[sample.id][1].response == record.response:
            repeated += 1
        else:
            raise HarnessError(
                f"{record.where}: item {sample.id} already has another response ({pairs[sample.id][1].where})",
                "remove one of them",
            )
    if not pairs:
        raise HarnessError(f"no record is an item of {task.name} ({left_out} are not)", "check --task and the format")
    found = list(pairs.values())
    _check_golds(found)
    whole = min((n for n in (task.tsv.rows, task.hub.rows) if n), default=len(found))
    part = f" {len(found)}/{whole}" if len(found) != whole else ""
    return Imported(
        samples=[sample for sample, _ in found],
        responses=[record.response for _, record in found],
        judged={(s.id, purpose): text for s, record in found for purpose, text in record.judged.items()},
        edition=f"imported{part}" + (f" ({edition})" if edition else ""),
        left_out=left_out,
        repeated=repeated,
        stand_in=not (items or data) and any(record.stand_in for _, record in found),
    )


# ---------------------------------------------------------------- where the items come from


def _stated(task: Task) -> Find:
    """Items as the records state them; their images are not there, so an item knows its picture only by name."""

    def find(record: Record) -> Sample | None:
        if record.row is None:
            raise HarnessError(
                f"{record.where}: the file does not state the items", "give them with --items TABLE or --data FOLDER"
            )
        return _build(task, record.where, record.row, record.schema)

    return find


def _build(task: Task, where: str, row: Mapping[str, Any], schema: str) -> Sample | None:
    shown = _picture(task, row)
    build = task.from_hub if schema == "hub" else task.from_tsv
    try:
        sample = build({**row, "image": shown, "decoded_image": shown})
    except ValueError as error:
        raise HarnessError(
            f"{where}: {error}", "check --task and the format, or give the items with --items or --data"
        ) from error
    return None if sample is None else replace(sample, images=())


def _picture(task: Task, row: Mapping[str, Any]) -> tuple[Image]:
    """Stands for a picture that is not there: items that name one file share it, and so a cluster."""
    named = row.get("image_path") or row.get("image")
    own = next(
        (row[name] for name in ("index", "id", "idx", "pid", "question_id") if row.get(name)), sorted(row.items())
    )
    name = f"{task.name} {named if isinstance(named, str) else own}"

    def absent() -> bytes:
        raise HarnessError(f"the picture of {name} was not imported", "open the data set for it")

    return (Image(hashlib.sha256(name.encode("utf-8", "replace")).hexdigest(), absent),)


def _from_table(task: Task, path: Path) -> Find:
    """Items of a VLMEvalKit table, by their index."""
    known: dict[str, Sample] = {}
    for where, row in rows(path):
        sample = _build(task, where, row, "tsv")
        if sample is not None:
            known[sample.id] = sample
    return lambda record: _known(record, known, str(path))


def _from_data(task: Task, data: str | Path) -> tuple[Find, str]:
    """Items of a data set by id, or by position for a record without id."""
    from harness.data import open_dataset

    dataset = open_dataset(task, data)
    known = {sample.id: sample for sample in dataset}
    if len(known) < len(dataset):
        raise HarnessError(f"ids of {task.name} in {data} are not unique", "use another edition of the data set")

    def find(record: Record) -> Sample | None:
        if any(name in known for name in record.ids) or record.position is None:
            return _known(record, known, str(data))
        if record.position >= len(dataset):
            raise HarnessError(
                f"{record.where}: there is no item {record.position} among the {len(dataset)} of {data}",
                "give the edition of the data set that was answered",
            )
        return dataset[record.position]

    return find, dataset.edition


def _known(record: Record, known: Mapping[str, Sample], source: str) -> Sample:
    for name in record.ids:
        if name in known:
            return known[name]
    named = ", ".join(record.ids) or "(it has no id)"
    raise HarnessError(f"{record.where}: {source} has no item {named}", "give the data set that was answered")


def _check_golds(found: Sequence[tuple[Sample, Record]]) -> None:
    stated = [(sample, record) for sample, record in found if record.target]
    same = sum(_same(sample, record.target) for sample, record in stated)
    if stated and same < _AGREEMENT * len(stated):
        sample, record = next(pair for pair in stated if not _same(pair[0], pair[1].target))
        raise HarnessError(
            f"{record.where}: the gold is {record.target!r}, but that of item {sample.id} is {sample.answer!r} "
            f"(and so for {len(stated) - same} of {len(stated)} items)",
            "give the data set that was answered, in its own order",
        )


def _same(sample: Sample, target: str) -> bool:
    gold = target.strip()
    return gold.strip("() ") == sample.answer.strip("() ") or gold in sample.choices.get(sample.answer, sample.answer)
