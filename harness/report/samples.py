"""The items of a run in small parts: a page loads those that it shows, from its own file or from `harness view`.

A part is a JSON value with a name:

- `ids/TASK`: the ids of the task's items, in order;
- `index/CELL`: what became of each of them in a cell: a letter of STATES a state, "-" for no verdict; the scores;
- `samples/TASK/BLOCK`: question, choices, gold, images and cluster of BLOCK_ITEMS items;
- `answers/CELL/BLOCK`: response, extracted answer, rule, note, finish, drawn at random, for the same items.

TASK and CELL are numbers: places in `Items.tasks` and `Items.results`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import registry
from harness.api import HarnessError, Image, Sample, State, Verdict
from harness.store import Result, Store

BLOCK_ITEMS = 200
STATES = {
    State.SCORED: "s", State.UNPARSED: "u", State.TRUNCATED: "t", State.REFUSED: "r", State.JUDGE_FAILED: "j",
    State.ERROR: "e",
}  # fmt: skip
_CELLS_KEPT, _TASKS_KEPT = 32, 2  # verdicts of so many cells, samples of so many tasks stay in memory

_Rows = dict[str, tuple[bytes, Verdict]]


class Items:
    """The items of a run as it is now. Its methods may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with Store(folder, write=False) as store:
            self.results: list[Result] = store.results()
            self.tasks = list(dict.fromkeys(r.cell.task for r in self.results))
            self._ids = [_order(store, task, self.results) for task in self.tasks]
            meta = store.meta()
        self.data: str | None = meta.get("data")
        self._lock = threading.Lock()
        self._verdicts: OrderedDict[int, _Rows] = OrderedDict()
        self._kept: OrderedDict[int, dict[str, Sample]] = OrderedDict()
        self._images: dict[int, dict[str, Image]] = {}

    def count(self, task: int) -> int:
        """Number of items of a task."""
        return len(self._ids[task])

    def blocks(self, task: int) -> int:
        """Number of blocks of a task."""
        return -(-len(self._ids[task]) // BLOCK_ITEMS)

    def cells(self, task: int) -> list[int]:
        """The cells of a task."""
        return [i for i, result in enumerate(self.results) if result.cell.task == self.tasks[task]]

    # ------------------------------------------------------------ parts

    def part(self, name: str) -> Any:
        """A part by its name (see the module's text).

        Raises KeyError for a name that is none.
        """
        words = name.split("/")
        makers: dict[tuple[str, int], Callable[..., Any]] = {
            ("ids", 2): self._part_ids,
            ("index", 2): self._index,
            ("samples", 3): self._samples,
            ("answers", 3): self._answers,
        }
        maker = makers.get((words[0], len(words)))
        if maker is None or not all(word.isascii() and word.isdigit() for word in words[1:]):
            raise KeyError(name)
        try:
            return maker(*map(int, words[1:]))
        except IndexError:
            raise KeyError(name) from None

    def _part_ids(self, task: int) -> list[str]:
        return self._ids[task]

    def _index(self, cell: int) -> dict[str, Any]:
        rows = self._rows(cell)
        found = [rows.get(id) for id in self._ids[self._task_of(cell)]]
        return {
            "states": "".join(STATES[row[1].state] if row else "-" for row in found),
            "scores": [round(row[1].score, 4) if row else 0 for row in found],
        }

    def _samples(self, task: int, block: int) -> list[Any]:
        ids = self._slice(task, block)
        samples = self._samples_of(task)
        return [
            [s.question, list(s.choices.items()), s.answer, [image.sha256 for image in s.images], s.cluster]
            for s in (samples[id] for id in ids)
        ]

    def _answers(self, cell: int, block: int) -> list[Any]:
        rows = self._rows(cell)
        found = [rows.get(id) for id in self._slice(self._task_of(cell), block)]
        with Store(self.folder, write=False) as store:
            responses = store.responses([row[0] for row in found if row])
        answers: list[Any] = []
        for row in found:
            response = responses.get(row[0]) if row else None
            if row is None or response is None:
                answers.append(None)
                continue
            verdict, text = row[1], response.text or response.error
            answers.append([text, verdict.extracted, verdict.rule, verdict.note, response.finish, verdict.random])
        return answers

    def _slice(self, task: int, block: int) -> list[str]:
        if block >= self.blocks(task):
            raise IndexError(block)
        return self._ids[task][block * BLOCK_ITEMS : (block + 1) * BLOCK_ITEMS]

    def _task_of(self, cell: int) -> int:
        return self.tasks.index(self.results[cell].cell.task)

    def _samples_of(self, task: int) -> dict[str, Sample]:
        with self._lock:
            if task not in self._kept:
                with Store(self.folder, write=False) as store:
                    self._kept[task] = store.samples(self.tasks[task])
                if len(self._kept) > _TASKS_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(task)
            return self._kept[task]

    def _rows(self, cell: int) -> _Rows:
        """Response key and verdict of a cell by sample id."""
        address = self.results[cell].cell
        with self._lock:
            if cell not in self._verdicts:
                with Store(self.folder, write=False) as store:
                    self._verdicts[cell] = {id: (key, verdict) for id, key, verdict in store.verdicts(address)}
                if len(self._verdicts) > _CELLS_KEPT:
                    self._verdicts.popitem(last=False)
            self._verdicts.move_to_end(cell)
            return self._verdicts[cell]

    # ------------------------------------------------------------ images

    def image(self, task: int, sha256: str) -> tuple[str, bytes]:
        """Media type and bytes of an image, from the data set that the run was made with.

        Raises KeyError for an image that the data set does not have, HarnessError where there is no data set.
        """
        with self._lock:
            if task not in self._images:
                self._images[task] = dict(self._images_of(self.tasks[task]))
        data = self._images[task][sha256].read()
        return media_type(data), data

    def _images_of(self, task: str) -> Iterator[tuple[str, Image]]:
        if self.data is None:
            raise HarnessError(
                "the run does not say which data it was made with, so its images are not known",
                "make it with `harness run`, which keeps this",
            )
        from harness.data import open_dataset

        for sample in open_dataset(registry.task(task), self.data, skip_bad_rows=True):
            for image in sample.images:
                yield image.sha256, image


def media_type(data: bytes) -> str:
    """The media type of a raster image by its first bytes; what is none is served as bytes, which no browser runs."""
    starts = {
        b"\x89PNG\r\n\x1a\n": "image/png",
        b"\xff\xd8\xff": "image/jpeg",
        b"GIF8": "image/gif",
        b"BM": "image/bmp",
    }
    for start, name in starts.items():
        if data.startswith(start):
            return name
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else "application/octet-stream"


def _order(store: Store, task: str, results: list[Result]) -> list[str]:
    """Ids of a task's items: the order of the cell that has most of them, then what only other cells have."""
    cells = sorted((r for r in results if r.cell.task == task), key=lambda r: -r.items)
    return list(dict.fromkeys(id for r in cells for id, _, _ in store.verdicts(r.cell)))
