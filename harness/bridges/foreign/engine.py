"""Our engine as a child process: requests out, answers back, over its standard streams (harness/bridges/answer.py)."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from .files import Record, Refused

HOME = "home.json"  # written into the package when it is installed: whose engine answers


class Engine:
    """A model that our backends run in the environment of harness; it stays loaded until `close`.

    `model` and `backend` are those of `harness run`; `store` is a run folder that keeps the answers (none: they are not
    kept); further options go to the backend.
    """

    def __init__(self, model: str, *, backend: str = "hf", store: str = "", **options: Any) -> None:
        home = json.loads((files(__package__) / HOME).read_text(encoding="utf-8"))
        self.folder = Path(tempfile.mkdtemp(prefix="harness-bridge-"))
        head = {"model": model, "backend": backend, "store": store, "folder": str(self.folder), "options": options}
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        self._child = subprocess.Popen(  # noqa: S603 - the interpreter that installed this package
            [home["python"], "-m", "harness.bridges.answer", json.dumps(head)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=ours | home["environment"],
        )  # fmt: skip
        self._busy = threading.Lock()

    def answer(self, requests: Sequence[Record]) -> list[str]:
        """The answers in order. Raises Refused where a request could not be answered."""
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None:
            raise Refused("the engine has no streams")
        with self._busy:
            try:
                for number, request in enumerate(requests):
                    stdin.write(json.dumps({**request, "index": str(number)}) + "\n")
                stdin.write("\n")
                stdin.flush()
            except BrokenPipeError:
                raise Refused("the engine has ended; its message stands above") from None
            answers: dict[int, str] = {}
            while len(answers) < len(requests):
                line = stdout.readline()
                if not line:
                    raise Refused("the engine has ended; its message stands above")
                said = json.loads(line)
                if said["error"]:
                    raise Refused(f"the engine gave no answer to a request: {said['error']}")
                answers[int(said["index"])] = cast(str, said["text"])
        return [answers[number] for number in range(len(requests))]

    def close(self) -> None:
        """End the child process."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        self._child.wait()
