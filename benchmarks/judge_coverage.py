"""How often the intervals of harness.stats.judge_error hold the truth: benchmarks/judge_coverage.py [--out FILE].

Truth, labels and a judge with errors are drawn; each row says in what share of the draws the 95 % interval held the
true share (nominal 95), beside the uncorrected Wilson interval of the judged share.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from harness.stats.judge_error import Calibration, calibrate, compare, prediction_powered, rogan_gladen

DRAWS = 4000
#: True share, sensitivity, specificity, items judged, items labelled.
SETTINGS = (
    (0.50, 0.95, 0.95, 218, 218),
    (0.30, 0.90, 0.80, 218, 100),
    (0.60, 0.98, 0.90, 1000, 100),
    (0.10, 0.90, 0.95, 1000, 200),
    (0.90, 0.85, 0.90, 1000, 200),
    (0.50, 0.70, 0.70, 1000, 400),
    (0.95, 0.99, 0.99, 500, 50),
)


def judge(truth: np.ndarray, se: float, sp: float, random: np.random.Generator) -> np.ndarray:
    """The judge's verdicts on items of known truth."""
    return np.where(truth, random.random(len(truth)) < se, random.random(len(truth)) >= sp)


def held(share: float, se: float, sp: float, n: int, labelled: int, random: np.random.Generator) -> list[float]:
    """Percent of draws in which each interval held the truth, and the mean width of the two corrected ones."""
    inside, width = np.zeros(3), np.zeros(2)
    for _ in range(DRAWS):
        known = random.random(labelled) < share
        known_judged = judge(known, se, sp, random)
        judged = judge(random.random(n) < share, se, sp, random)
        plain = proportion_confint(int(judged.sum()), n, method="wilson")
        rogan = rogan_gladen(int(judged.sum()), n, calibrate(list(known), list(known_judged)))
        ppi = prediction_powered(known, known_judged, judged, tuned=True)
        bounds = (plain, (rogan.low, rogan.high), (ppi.low, ppi.high))
        inside += [low <= share <= high for low, high in bounds]
        width += [rogan.high - rogan.low, ppi.high - ppi.low]
    return [*(100 * inside / DRAWS), *(100 * width / DRAWS)]


def called(gap: float, favour: float, separate: bool, random: np.random.Generator) -> list[float]:
    """Percent of draws in which a difference of `gap` is found as judged and after correction.

    The judge has sensitivity and specificity 0.9; for the second model its specificity is lower by `favour`.
    """
    found = np.zeros(2)
    for _ in range(DRAWS // 2):
        first, second = random.random(500) < 0.5 + gap, random.random(500) < 0.5
        truth = random.random((2, 200)) < 0.5
        one = calibrate(list(truth[0]), list(judge(truth[0], 0.9, 0.9, random)))
        other: Calibration = calibrate(list(truth[1]), list(judge(truth[1], 0.9, 0.9 - favour, random)))
        judged = judge(first, 0.9, 0.9, random), judge(second, 0.9, 0.9 - favour, random)
        result = compare(*judged, (one, other if separate else one))
        found += [result.judged.excludes_zero, result.corrected.excludes_zero]
    return list(100 * found / (DRAWS // 2))


def main() -> None:
    """Print or write both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    random = np.random.default_rng(0)
    lines = [
        "# Coverage of the corrected intervals of judged scores\n",
        f"`python benchmarks/judge_coverage.py`, {DRAWS} draws a row, nominal 95 %. Widths in points.\n",
        "| true share | sensitivity | specificity | judged | labelled | uncorrected held | Rogan-Gladen held |"
        " PPI++ held | Rogan-Gladen width | PPI++ width |",
        "|---:|" + "---:|" * 9,
    ]
    for setting in SETTINGS:
        share, se, sp, n, labelled = setting
        row = [f"{x:.1f}" for x in held(share, se, sp, n, labelled, random)]
        lines.append("| " + " | ".join([*map(str, setting), *row]) + " |")
    lines += [
        "\n## Comparisons\n",
        "Two models, 500 items, judge with sensitivity and specificity 0.9 (`favour`: its specificity for the second"
        " model is lower by this), 200 labelled items a calibration. Percent of draws in which a difference is found:"
        " where there is none, 5 is right.\n",
        "| true gap | favour | calibrations | found as judged | found after correction |",
        "|---:|---:|---|---:|---:|",
    ]
    for gap, favour, separate in ((0.0, 0.0, False), (0.1, 0.0, False), (0.0, 0.15, False), (0.0, 0.15, True),
                                  (0.1, 0.15, True)):  # fmt: skip
        row = [f"{x:.1f}" for x in called(gap, favour, separate, random)]
        lines.append(f"| {gap} | {favour} | {'one a model' if separate else 'shared'} | {' | '.join(row)} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if out:
        out.write_text(text)


if __name__ == "__main__":
    main()
