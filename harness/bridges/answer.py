"""Our engine for a framework that runs by itself: `python -m harness.bridges.answer HEAD`, a child of its process.

HEAD is a JSON object: model, backend, store, folder, options. Requests come in as JSON lines (foreign/files.py), an
empty line asks for the answers to those before it; they go out as JSON lines {"index", "text", "error"} as they finish.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from harness import registry
from harness.api import HarnessError, Image, Model, Request, Response
from harness.bridges.tasks import read_request
from harness.store import Store, request_key


def serve(head: Mapping[str, Any], lines: IO[str], out: IO[str]) -> None:
    """Answer batches until the input ends. What the store has is not inferred again."""
    folder = Path(head["folder"])
    options = {name: _value(value) for name, value in head["options"].items()}
    model: Model = registry.load("models", head["backend"])(head["model"], **options)
    with ExitStack() as stack:
        store = stack.enter_context(Store(head["store"])) if head["store"] else None
        for batch in _batches(lines):
            for index, response in _answered(model, [_request(folder, one) for one in batch], store):
                said = {"index": batch[index]["index"], "text": response.text, "error": response.error}
                out.write(json.dumps(said) + "\n")
            out.flush()


def _batches(lines: IO[str]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for line in lines:
        if line.strip():
            batch.append(json.loads(line))
        elif batch:
            yield batch
            batch = []


def _request(folder: Path, stated: Mapping[str, Any]) -> Request:
    parts = [part if isinstance(part, str) else _image(folder / part["image"]) for part in stated["parts"]]
    return read_request(stated, parts)


def _image(path: Path) -> Image:
    return Image(path.name, path.read_bytes)  # the file's name is its SHA-256


def _answered(model: Model, requests: list[Request], store: Store | None) -> Iterator[tuple[int, Response]]:
    """The stored answers, then those of the model, each kept before it is given out."""
    keys = [request_key(model.fingerprint(), request) for request in requests]
    stored = store.responses(keys) if store else {}
    kept = {key: response for key, response in stored.items() if response.finish != "error"}
    yield from ((i, kept[key]) for i, key in enumerate(keys) if key in kept)
    waiting: dict[bytes, list[int]] = {}
    for i, key in enumerate(keys):
        if key not in kept:
            waiting.setdefault(key, []).append(i)
    asked = list(waiting)
    for place, response in model.generate(requests[waiting[key][0]] for key in asked):
        if store:
            store.add_responses([(asked[place], response)])
        yield from ((i, response) for i in waiting[asked[place]])


def _value(text: Any) -> Any:
    """An option as the command line of a framework hands it over: text that may be a number."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


if __name__ == "__main__":
    try:
        serve(json.loads(sys.argv[1]), sys.stdin, sys.stdout)
    except HarnessError as error:
        sys.exit(f"harness: {error}")
