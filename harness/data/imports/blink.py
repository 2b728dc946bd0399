"""BLINK saved outputs: a file a task with the raw response and the option that the authors' pipeline read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.api import HarnessError
from harness.data.imports.record import Record, as_list, as_object, load_json, need, said

# How many options an item of a task has: the saved outputs do not say. Tasks that are not named have two.
_OPTIONS = {
    "Counting": 4, "Forensic_Detection": 4, "Functional_Correspondence": 4, "IQ_Test": 4, "Relative_Reflectance": 3,
    "Semantic_Correspondence": 4, "Visual_Correspondence": 4,
}  # fmt: skip


def read(path: Path) -> Iterator[Record]:
    """Entries idx, answer "(A)", full_prediction, prediction of the split val (the answers of test are hidden)."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise HarnessError(f"{path} has no .json file", "name the folder of one model's saved outputs")
    for file in files:
        (entries,) = need(str(file), as_object(str(file), load_json(file)), "val")
        for number, value in enumerate(as_list(str(file), entries), 1):
            where = f"{file}, val entry {number}"
            entry = as_object(where, value)
            name, answer, response = need(where, entry, "idx", "answer", "full_prediction")
            task = str(name).removeprefix("val_").rpartition("_")[0]
            row = {
                "idx": name,
                "sub_task": task,
                "question": f"(the saved outputs state no question: {name})",
                "choices": [f"(option {letter})" for letter in "ABCD"[: _OPTIONS.get(task, 2)]],
                "answer": answer,
                "prompt": f"(the saved outputs state no prompt: {name})",
            }
            judged = {"match": str(entry["prediction"])} if "prediction" in entry else {}
            yield Record(where, (name,), said(response), row, "hub", stand_in=True, judged=judged, target=answer)
