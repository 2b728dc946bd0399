"""The embedded ladder: tiny InternVL models, trained by us on the mini edition, shipped with the package.

`path("student")` is a checkpoint folder that plain transformers loads; `python -m trainers.zoo build` makes them anew.
"""

from __future__ import annotations

from pathlib import Path

from harness.api import HarnessError

NAMES = ("student", "small", "mid", "large")
WEIGHTS = Path(__file__).with_name("weights")


def path(name: str) -> Path:
    """The shipped checkpoint of a rung; HarnessError for a name that is none of NAMES or whose files are missing."""
    if name not in NAMES:
        raise HarnessError(f"the embedded ladder has no rung {name!r}", f"its rungs are {', '.join(NAMES)}")
    folder = WEIGHTS / name
    if not (folder / "model.safetensors").is_file():
        raise HarnessError(
            f"{folder}: the weights are not there", "install the package again, or run `harness zoo build`"
        )
    return folder


def student() -> Path:
    """The student's checkpoint."""
    return path("student")


def small() -> Path:
    """The small teacher's checkpoint."""
    return path("small")


def mid() -> Path:
    """The mid teacher's checkpoint."""
    return path("mid")


def large() -> Path:
    """The large teacher's checkpoint."""
    return path("large")
