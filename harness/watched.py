"""A model that is looked at while it answers: greedily, with log-probs, and with what it is shown kept in a file."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.api import Model, Request, Response
from harness.evaluation import Expecting
from harness.models.seen import Seen
from harness.store import request_key


class Watched:
    """`model` under the name `label`; what it is shown goes to a file in `folder`, one line a request.

    Its answers are known by a fingerprint of their own, so that both sides of a comparison answer for themselves even
    where they are the same checkpoint.
    """

    def __init__(self, model: Model, label: str, folder: Path) -> None:
        self.name = label
        self._model, self._path = model, _path(folder, label)
        self._mark = hashlib.sha256(f"watched {label} {model.fingerprint()}".encode()).hexdigest()
        self._lock = threading.Lock()

    @property
    def usage(self) -> Any:
        """What the model has spent, where it counts that."""
        return self._model.usage  # type: ignore[attr-defined]

    def fingerprint(self) -> str:
        """That of the model under this name."""
        return self._mark

    def expect(self, requests: Iterable[Request]) -> None:
        """Passed on to a model that wants to know."""
        if isinstance(self._model, Expecting):
            self._model.expect(map(_plain, requests))

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """The model's answers to the requests, decoded greedily, with log-probs."""
        keys: list[str] = []

        def passing() -> Iterator[Request]:
            for request in requests:
                keys.append(request_key(self._mark, request).hex())
                yield _plain(request)

        _drop_half_line(self._path)
        with self._path.open("a") as file:

            def note(index: int, seen: Seen) -> None:
                with self._lock:  # a backend may prepare requests in several threads
                    file.write(json.dumps({"key": keys[index], **seen.to_json()}) + "\n")
                    file.flush()

            if hasattr(self._model, "watch"):
                self._model.watch = note
            try:
                yield from self._model.generate(passing())
            finally:
                if hasattr(self._model, "watch"):
                    self._model.watch = None


def read_seen(folder: Path, label: str) -> dict[bytes, Seen]:
    """What a watched model was shown, by response key."""
    path, found = _path(folder, label), {}
    for line in path.read_text().splitlines() if path.exists() else ():
        body = json.loads(line)
        found[bytes.fromhex(body["key"])] = Seen.from_json(body)
    return found


def _drop_half_line(path: Path) -> None:
    """Cut off a last line that a kill left unfinished: its response was not stored either."""
    if path.exists():
        whole, newline, _ = path.read_bytes().rpartition(b"\n")
        path.write_bytes(whole + newline)


def _path(folder: Path, label: str) -> Path:
    return folder / f"seen-{hashlib.sha256(label.encode()).hexdigest()[:12]}.jsonl"


def _plain(request: Request) -> Request:
    settings = replace(request.generation, temperature=0.0, top_p=1.0, top_k=0, n=1, logprobs=True)
    return replace(request, generation=settings)
