"""The files through which a framework's environment and ours talk: a job, requests with their images, answers.

A request is an object {"index", "parts", "system", "generation"}: parts are texts and {"image": file name}, in the
order in which the model sees them; generation has the fields of harness.api.Generation that are not at their default.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

IMAGES = "images"
DATA, VERDICTS, METRICS = "data.jsonl", "verdicts.jsonl", "metrics.json"

Record = dict[str, Any]


class Refused(Exception):
    """What the bridge cannot carry, in a sentence for the user."""


def save_image(folder: Path, encoded: bytes) -> str:
    """Keep an encoded image under its content's name; the name relative to the folder."""
    name = f"{IMAGES}/{hashlib.sha256(encoded).hexdigest()}"
    path = folder / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".part{os.getpid()}")
        part.write_bytes(encoded)
        part.replace(path)
    return name


def item(request: Record, answer: str, made_by: str) -> Record:
    """A line of data.jsonl, our folder format: the request as an item whose prompt is already written."""
    texts = [part if isinstance(part, str) else "<image>" for part in request["parts"]]
    return {
        "index": request["index"],
        "question": "".join(texts),
        "answer": answer,
        "image": [part["image"] for part in request["parts"] if not isinstance(part, str)],
        "request": json.dumps(
            {**request, "parts": [part if isinstance(part, str) else None for part in request["parts"]]}
        ),
        "made_by": made_by,
    }


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=True, default=str) + "\n")
    part.replace(path)


def read_lines(path: Path) -> Iterator[Record]:
    """The objects of a file of JSON lines."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def run_job(actions: Mapping[str, Callable[[Record], None]]) -> None:
    """worker.py JOB: do what the job file says. A Refused becomes the file `refused` beside the job and exit code 3."""
    path = Path(sys.argv[1])
    job = json.loads(path.read_text(encoding="utf-8"))
    try:
        actions[job["action"]](job)
    except Refused as refusal:
        (path.parent / "refused").write_text(str(refusal), encoding="utf-8")
        raise SystemExit(3) from None
