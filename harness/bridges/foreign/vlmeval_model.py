"""The models of VLMEvalKit's registry: `harness`, whose answers come from our engine, and the one that scores."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vlmeval.config import supported_VLM
from vlmeval.dataset import DATASET_CLASSES
from vlmeval.vlm.base import BaseModel

from .engine import Engine
from .files import Record, Refused, save_image

GENERATION = {"max_new_tokens": 2048}  # what its own models allow; as our protocols vlmevalkit@...


class Harness(BaseModel):  # type: ignore[misc]
    """Answers come from our engine, one at a time, as VLMEvalKit asks."""

    INTERLEAVE = True

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self._engine = Engine(**arguments)

    def generate_inner(self, message: Sequence[Mapping[str, str]], dataset: str | None = None) -> str:
        """The answer to one message."""
        return self._engine.answer([to_request("0", message, self._engine.folder)])[0]


class Stored(BaseModel):  # type: ignore[misc]
    """Gives back answers in the order in which the dataset's rows are asked."""

    INTERLEAVE = True

    def __init__(self, answers: Sequence[str]) -> None:
        super().__init__()
        self._answers = iter(answers)

    def generate_inner(self, message: Sequence[Mapping[str, str]], dataset: str | None = None) -> str:
        """The next answer."""
        return next(self._answers)


def to_request(index: str, message: Sequence[Mapping[str, str]], folder: Path) -> Record:
    """VLMEvalKit's message as a request; its images are files."""
    parts: list[Any] = []
    for part in message:
        if part.get("role", "user") != "user":
            raise Refused("the prompt holds turns of another role; the bridge carries single questions only")
        if part["type"] == "text":
            parts.append(part["value"])
        elif part["type"] == "image":
            parts.append({"image": save_image(folder, Path(part["value"]).read_bytes())})
        else:
            raise Refused(f"the prompt shows {part['type']}; the bridge carries text and images only")
    return {"index": index, "parts": parts, "system": "", "generation": GENERATION}


def keep_local_tables() -> None:
    """Use the tables that are there; VLMEvalKit would download one anew whose MD5 is not the published one."""
    for kind in DATASET_CLASSES:
        if getattr(kind, "DATASET_MD5", None):
            kind.DATASET_MD5 = dict.fromkeys(kind.DATASET_MD5)


def main() -> None:
    """vlmeval-harness NAME=VALUE ... -- ARGUMENTS OF run.py: VLMEvalKit's own run with the model `harness`.

    NAME=VALUE are model, backend, store, options of the backend, and local=1 for tables of one's own in LMUData.
    """
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments = dict(pair.split("=", 1) for pair in sys.argv[1:split])
    if arguments.pop("local", ""):
        keep_local_tables()
    supported_VLM["harness"] = partial(Harness, **arguments)
    from vlmeval import run

    sys.argv = ["run.py", *sys.argv[split + 1 :]]
    run.main()


if __name__ == "__main__":
    main()
