"""What the workers share: they run inside an upstream environment, read cases as JSON lines and write verdicts.

A case is {"task", "source", "unit", "sample": {id, question, answer, choices, meta}, "response"}; the cases of one unit
stand together (a circular group is one unit). A verdict is {"task", "source", "unit", "score", "extracted", "random",
"error"}. Standard library only; nothing of the project is imported but hash_judge.
"""

from __future__ import annotations

import json
import random
import sys
import traceback
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

Case = dict[str, Any]
#: The score of a unit's cases and what was read from the last response.
Scorer = Callable[[list[Case]], tuple[float, str]]

_drawn = 0


def count_draws() -> None:
    """Make every draw of the module random visible, so that random picks can be left out of the comparison."""

    def counting(draw: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            global _drawn
            _drawn += 1
            return draw(*args, **kwargs)

        return counted

    for name in ("choice", "randint", "choices", "sample"):
        setattr(random, name, counting(getattr(random, name)))


def main(scorers: Mapping[str, Scorer]) -> None:
    """worker.py CASES VERDICTS"""
    count_draws()
    with open(sys.argv[1], encoding="utf-8") as lines, open(sys.argv[2], "w", encoding="utf-8") as out:
        cases = (json.loads(line) for line in lines)
        for (task, source, unit), group in groupby(cases, key=lambda c: (c["task"], c["source"], c["unit"])):
            if task in scorers:
                verdict = {"task": task, "source": source, "unit": unit, **_score(scorers[task], list(group))}
                out.write(json.dumps(verdict) + "\n")


def _score(scorer: Scorer, cases: list[Case]) -> dict[str, Any]:
    before = _drawn
    try:
        score, extracted = scorer(cases)
    except Exception as error:  # noqa: BLE001 - whatever upstream's code raises is its answer to this item
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return {
            "score": None,
            "extracted": "",
            "random": False,
            "error": f"{type(error).__name__}: {error} ({frame.name})",
        }
    return {"score": float(score), "extracted": str(extracted), "random": _drawn > before, "error": ""}
