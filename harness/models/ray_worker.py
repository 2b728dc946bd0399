"""What runs on the nodes: a model of any backend in a process of its own, which is handed requests as it works."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from harness import __version__
from harness.api import Model, Request, Response
from harness.models.options import load_model, open_model


@dataclass(frozen=True, slots=True)
class Opened:
    """What a worker says when its model is loaded."""

    fingerprint: str
    version: str
    node: str


class Worker:
    """A model that keeps its engine full: `step` hands it requests and fetches what it has answered meanwhile.

    The model reads requests from a queue in a thread of its own. So the caller must let it hold more requests than
    its window, or tell it that nothing follows: else the model would wait for requests, and the caller for answers.
    """

    def __init__(self, backend: str, spec: str, options: Mapping[str, Any]) -> None:
        self._backend, self._spec, self._options = backend, spec, options
        self._model: Model | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._inbox: SimpleQueue[tuple[int, Request] | None] = SimpleQueue()
        self._outbox: SimpleQueue[tuple[int, Response] | None] = SimpleQueue()
        self._session: Future[None] | None = None

    def open(self) -> Opened:
        """Load the model; what it cannot load is its HarnessError."""
        self._model = open_model(self._backend, self._spec, self._options)
        load_model(self._model)
        return Opened(self._model.fingerprint(), __version__, socket.gethostname())

    def step(self, requests: Sequence[tuple[int, Request]], last: bool) -> list[tuple[int, Response]]:
        """Take requests (`last`: none follow until these are answered) and return what is answered, at least one.

        Returns nothing only where the model has ended; raises what the model raised.
        """
        for asked in requests:
            self._inbox.put(asked)
        if last:
            self._inbox.put(None)
        while True:
            if self._session is None:
                self._session = self._thread.submit(self._answer)
                self._session.add_done_callback(lambda _: self._outbox.put(None))
            found = self._fetch()
            if None in found:
                self._session.result()
                self._session = None
            answers = [answer for answer in found if answer is not None]
            if answers or self._inbox.empty():
                return answers

    def _answer(self) -> None:
        """One call of the model, until it is told that nothing follows."""
        assert self._model is not None
        indices: list[int] = []
        for place, response in self._model.generate(self._feed(indices)):
            self._outbox.put((indices[place], response))

    def _feed(self, indices: list[int]) -> Iterator[Request]:
        while (asked := self._inbox.get()) is not None:
            indices.append(asked[0])
            yield asked[1]

    def _fetch(self) -> list[tuple[int, Response] | None]:
        """What has been answered by now; waits for the first."""
        found = [self._outbox.get()]
        while True:
            try:
                found.append(self._outbox.get_nowait())
            except Empty:
                return found
