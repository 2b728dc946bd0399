"""Masters Harness: evaluate vision-language models, and every stage of their distillation.

>>> import harness
>>> run = harness.evaluate("path/or/hub-id", ["chartqa", "mmstar"], data="mini")
>>> harness.score("chartqa", sample, harness.Response("14"), protocol="official")
>>> harness.load_run("runs/today")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.api import (
    Ask,
    Generation,
    HarnessError,
    Image,
    Judge,
    Metrics,
    Model,
    Pick,
    Request,
    Response,
    Rules,
    Sample,
    Scored,
    Stage,
    State,
    Task,
    Verdict,
)

if TYPE_CHECKING:
    from harness.evaluation import evaluate
    from harness.scoring.score import score
    from harness.store import load_run

__version__ = "0.1.0"

# Functions whose modules cost an import are fetched when first used.
_LAZY = {"evaluate": "harness.evaluation", "score": "harness.scoring.score", "load_run": "harness.store"}

__all__ = [
    "Ask", "Generation", "HarnessError", "Image", "Judge", "Metrics", "Model", "Pick", "Request", "Response", "Rules",
    "Sample", "Scored", "Stage", "State", "Task", "Verdict", "evaluate", "load_run", "score",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
