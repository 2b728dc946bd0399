"""MMMU example outputs: <Subject>/output.json, lists of items with options, gold and raw response."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.api import HarnessError
from harness.data.imports.record import Record, as_list, as_object, load_json, need, said


def read(path: Path) -> Iterator[Record]:
    """Entries id, question_type, answer (text or list), index2ans, response; the question's text is not in the file."""
    files = sorted(path.glob("*/output.json")) if path.is_dir() else [path]
    if not files:
        raise HarnessError(f"{path} has no */output.json", "name the folder that holds the subjects' folders")
    for file in files:
        for number, value in enumerate(as_list(str(file), load_json(file)), 1):
            where = f"{file}, entry {number}"
            entry = as_object(where, value)
            name, kind, gold, response = need(where, entry, "id", "question_type", "answer", "response")
            options = entry.get("index2ans", {}) if kind == "multiple-choice" else {}
            row = {
                "id": name,
                "split": "validation",
                "question": entry.get("question") or f"(the output states no question: {name})",
                "answer": gold if isinstance(gold, str) else str(gold),
                **options,
            }
            yield Record(where, (name,), said(response), row, stand_in="question" not in entry, target=row["answer"])
