"""ChartQA's relaxed accuracy: numbers within 5 %, everything else by case-insensitive equality.

Source: Masry et al. 2022, section 5.1, in the form that pix2struct fixed and that lmms-eval and VLMEvalKit share.
"""

from __future__ import annotations


def to_float(text: str) -> float | None:
    """The number that the whole text is (a trailing `%` divides by 100), or None.

    Python's float() decides, so "1e3", "nan" and " 7 " are numbers, "1,000" and "$5" are not.
    """
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def relaxed_correct(prediction: str, target: str, tolerance: float = 0.05) -> bool:
    """Whether the prediction is within `tolerance` (relative) of a non-zero number, or equals the target's text.

    A target of 0 is compared as text, as upstream does: a relative error to 0 is not defined.
    """
    said, gold = to_float(prediction), to_float(target)
    if said is not None and gold:
        return abs(said - gold) / abs(gold) <= tolerance
    return prediction.lower() == target.lower()
