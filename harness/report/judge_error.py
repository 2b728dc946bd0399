"""Tables of `harness judge calibrate`: a judge's errors, scores corrected for them, differences within them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from harness.judge.calibration import Judged, JudgedCell
from harness.stats.judge_error import Comparison, Estimate, compare, prediction_powered, rogan_gladen

_LEAST_OWN = 20  # labelled responses of a model from which on it is calibrated by them alone


def calibration_records(judged: Sequence[Judged], threshold: float) -> list[dict[str, Any]]:
    """A record a task: numbers of labels, sensitivity, specificity, mean error of the judge in points."""
    found = []
    for one in judged:
        counts = one.calibration(threshold)
        errors = [said - item.score for item, said in zip(one.items, one.scores, strict=True)]
        found.append(
            {
                "task": one.task, "labels": len(one.items), "right": counts.right,
                "sensitivity": _percent(counts.sensitivity()), "specificity": _percent(counts.specificity()),
                "mean error": f"{100 * sum(errors) / len(errors):+.2f}" if errors else "-", "failed": one.failed,
            }
        )  # fmt: skip
    return found


def score_records(cells: Sequence[JudgedCell], judged: Mapping[str, Judged], threshold: float) -> list[dict[str, Any]]:
    """A record a (task, model): the score as judged, its share of right items corrected, its mean corrected."""
    found = []
    for cell in cells:
        labels = judged[cell.task]
        scores = list(cell.by_judge.values())
        right = sum(score >= threshold for score in scores)
        ruled = sum(score >= threshold for score in cell.by_rule)
        n = len(scores) + len(cell.by_rule)
        counts, own = _calibration(cell, labels, threshold)
        share = rogan_gladen(right, len(scores), counts)
        ours = [cell.responses.get(item.sample.id) == item.response.text for item in labels.items]
        mine = [i for i, same in enumerate(ours) if same]
        tuned = len(mine) >= _LEAST_OWN
        use = mine if tuned else range(len(labels.items))
        ppi = prediction_powered(
            [labels.items[i].score for i in use], [labels.scores[i] for i in use], scores, tuned=tuned
        )
        found.append(
            {
                "task": cell.task, "model": cell.model, "n": n,
                "score": f"{100 * (sum(scores) + sum(cell.by_rule)) / n:.2f}",
                "score, corrected": _percent(_blend(ppi, sum(cell.by_rule), len(scores), n)),
                "right": f"{100 * (right + ruled) / n:.2f}",
                "right, corrected": _percent(_blend(share, ruled, len(scores), n)),
                "labels": "own" if own or tuned else "other", "failed": cell.failed,
            }
        )  # fmt: skip
    return found


def comparison_records(
    cells: Sequence[JudgedCell], judged: Mapping[str, Judged], threshold: float
) -> list[dict[str, Any]]:
    """A record a pair of models and task, on the items that the judge decided for both."""
    found = []
    for first, second in combinations(cells, 2):
        shared = [id for id in first.by_judge if id in second.by_judge]
        if first.task != second.task or len(shared) < 2:
            continue
        labels = judged[first.task]
        (one, own_one), (other, own_other) = (_calibration(cell, labels, threshold) for cell in (first, second))
        both = own_one and own_other
        pooled = labels.calibration(threshold)
        result = compare(
            [first.by_judge[id] >= threshold for id in shared], [second.by_judge[id] >= threshold for id in shared],
            (one, other) if both else (pooled, pooled),
        )  # fmt: skip
        found.append(_comparison(first, second, len(shared), result, both))
    return found


def notes(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """What a reader of the tables must know."""
    if tables["scores"]:
        yield "right: a grade of at least the threshold; corrected as Rogan and Gladen, the score prediction-powered"
    if any(record["labels"] == "other" for record in tables["scores"]):
        yield "labels other: the judge is taken to err on these responses as it did on the labelled ones"
    if any(record["calibration"] == "shared" for record in tables["comparisons"]):
        yield (
            "shared calibration: a judge that favours one of the two models is not seen; label responses of both "
            f"(at least {_LEAST_OWN} each)"
        )


def _comparison(first: JudgedCell, second: JudgedCell, n: int, result: Comparison, both: bool) -> dict[str, Any]:
    return {
        "task": first.task, "first": first.model, "second": second.model, "n": n,
        "difference": _percent(result.judged), "corrected": _percent(result.corrected), "verdict": result.verdict,
        "calibration": "one a model" if both else "shared",
    }  # fmt: skip


def _calibration(cell: JudgedCell, labels: Judged, threshold: float) -> tuple[Any, bool]:
    """The judge's errors on this model's responses where enough are labelled, else on all labelled ones."""
    own = sum(item.model == cell.model for item in labels.items) >= _LEAST_OWN
    return labels.calibration(threshold, cell.model if own else None), own


def _blend(estimate: Estimate, by_rule: float, judged: int, n: int) -> Estimate:
    """The judged items' corrected mean together with what rules decided, which has no error."""
    return Estimate(*((value * judged + by_rule) / n for value in (estimate.value, estimate.low, estimate.high)))


def _percent(estimate: Estimate) -> str:
    if math.isnan(estimate.value) or math.isinf(estimate.low):
        return "unknown"
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
