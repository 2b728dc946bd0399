"""A small task for tests of data sources."""

from __future__ import annotations

from typing import Any

from harness.api import HubSet, Row, Sample, Task, TsvFile
from harness.data.schema import cell, images, letter_choices, text, text_list


def from_tsv(row: Row) -> Sample | None:
    if text(row, "split", "test") == "video":
        return None
    choices, answer = letter_choices(row), text(row, "answer")
    if choices and answer not in choices:
        raise ValueError(f"the answer {answer!r} is not a choice")
    return Sample(str(cell(row, "index")), text(row, "question"), answer, images(row), choices)


def from_hub(row: Row) -> Sample:
    options = text_list(row, "options") if row.get("options") else []
    choices = dict(zip("ABCDEFGHIJ", options, strict=False))
    return Sample(text(row, "id", ""), text(row, "question"), text(row, "answer"), images(row), choices)


def toy(tsv: str = "TOY", hub: HubSet | None = None, mini: str = "", **tsv_facts: Any) -> Task:
    return Task("toy", "Toy", TsvFile(tsv, **tsv_facts), hub or HubSet("someone/Toy"), from_tsv, from_hub, {}, mini)
