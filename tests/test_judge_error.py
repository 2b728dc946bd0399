"""The errors of judges: formulas against their sources, coverage by simulation, calibration on real grades."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.stats import norm

from harness.api import HarnessError
from harness.cli import main
from harness.judge.calibration import labels_of_file
from harness.stats.judge_error import Calibration, calibrate, compare, prediction_powered, rogan_gladen

Shared = Callable[[str], Path]


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


# ---------------------------------------------------------------- formulas


def test_counts_and_wilson_intervals() -> None:
    counts = calibrate([True] * 10 + [False] * 20, [True] * 9 + [False] * 18 + [True] * 3)
    assert counts == Calibration(right=10, found=9, wrong=20, cleared=17)
    z = norm.ppf(0.975)
    middle, spread = (
        (0.9 + z * z / 20) / (1 + z * z / 10),
        z * math.sqrt(0.9 * 0.1 / 10 + z * z / 400) / (1 + z * z / 10),
    )
    found = counts.sensitivity()
    assert (found.value, found.low, found.high) == pytest.approx((0.9, middle - spread, middle + spread))
    assert counts.youden() == pytest.approx(0.9 + 0.85 - 1)


def test_rogan_gladen_gives_back_the_share_behind_exact_rates() -> None:
    counts = Calibration(right=1000, found=900, wrong=1000, cleared=800)
    judged = round(10_000 * (0.3 * 0.9 + 0.7 * 0.2))
    found = rogan_gladen(judged, 10_000, counts)
    assert found.value == pytest.approx(0.3)
    assert found.low < 0.3 < found.high
    perfect = Calibration(right=10**7, found=10**7, wrong=10**7, cleared=10**7)
    assert rogan_gladen(50, 100, perfect).value == pytest.approx(0.5)


def test_a_judge_that_tells_nothing_leaves_everything_open() -> None:
    for counts in (Calibration(10, 5, 10, 5), Calibration(0, 0, 0, 0), Calibration(10, 2, 10, 3)):
        found = rogan_gladen(50, 100, counts)
        assert (found.low, found.high) == (0, 1)
    assert not compare([1, 0, 1], [0, 0, 1], (Calibration(10, 5, 10, 5),) * 2).corrected.excludes_zero


def test_prediction_powered_mean_is_the_classical_one_where_the_judge_is_useless_or_perfect() -> None:
    random = np.random.default_rng(0)
    labels, scores = random.random(200), random.random(10_000)
    useless = prediction_powered(labels, random.random(200), scores, tuned=True)
    assert useless.value == pytest.approx(labels.mean(), abs=0.01)
    half = norm.ppf(0.975) * labels.std(ddof=1) / math.sqrt(200)
    assert useless.high - useless.low == pytest.approx(2 * half, rel=0.05)
    perfect = prediction_powered(labels, labels, scores, tuned=False)
    assert perfect.value == pytest.approx(scores.mean())
    assert perfect.high - perfect.low == pytest.approx(2 * norm.ppf(0.975) * scores.std(ddof=1) / 100)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """The table of benchmarks/judge_coverage.py has more settings; 400 draws here, three standard errors of slack."""
    random = np.random.default_rng(1)
    held = np.zeros(2)
    for _ in range(400):
        known, truth = random.random(150) < 0.4, random.random(400) < 0.4
        said = [np.where(x, random.random(len(x)) < 0.9, random.random(len(x)) < 0.2) for x in (known, truth)]
        rogan = rogan_gladen(int(said[1].sum()), 400, calibrate(list(known), list(said[0])))
        ppi = prediction_powered(known, said[0], said[1], tuned=True)
        held += [rogan.low <= 0.4 <= rogan.high, ppi.low <= 0.4 <= ppi.high]
    assert (held / 400 > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)).all()


def test_a_difference_that_the_judge_made_is_called_so() -> None:
    """Both models are right half of the time; the judge lets 40 % of the second model's errors pass."""
    random = np.random.default_rng(2)
    first, second = (random.random((2, 2000)) < 0.5).tolist()
    judged = [first, [truth or random.random() < 0.4 for truth in second]]
    strict, lenient = Calibration(200, 199, 200, 199), Calibration(200, 199, 200, 120)
    found = compare(*judged, (strict, lenient))
    assert found.judged.excludes_zero
    assert found.verdict == "within the judge's error"
    assert compare(*judged, (strict, strict)).verdict == "decided"
    assert compare(first, first, (strict, strict)).verdict == "no difference found"


# ---------------------------------------------------------------- the verb


@pytest.fixture(scope="module")
def graded(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MM-Vet answers of LLaVA and InstructBLIP with GPT-4's grades, scored by the rule judge, too."""
    folder, llava = tmp_path_factory.mktemp("graded"), shared("conformance/mmvet/llava/results")
    table = shared("conformance/vlmevalkit_misc/instructblip_7b_MMVet.xlsx")
    grades = llava / "llava-v1.5-7b_gpt-4-grade-1runs.json"
    answers = llava / "llava-v1.5-7b.json"
    invoke("import", "mmvet", answers, "--grades", grades, "--items", table, "--model", "llava", "--out", folder)
    other = shared("conformance/vlmevalkit_misc/instructblip_7b_MMVet_gpt4.xlsx")
    invoke("import", "vlmevalkit", other, "--task", "mmvet", "--model", "instructblip", "--out", folder)
    assert invoke("score", folder, "--judge", "rule").exit_code == 0
    return folder


def test_calibrated_on_real_grades_the_corrected_scores_hold_gpt4s(graded: Path) -> None:
    done = invoke("judge", "calibrate", graded, "--judge", "rule", "--run", graded, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    [calibration] = found["calibration"]
    assert (calibration["labels"], calibration["failed"]) == (436, 0)
    for record, total in zip(found["scores"], (31.2, 30.5), strict=True):
        value, low, high = map(
            float, record["score, corrected"].replace("[", "").replace("]", "").replace(",", "").split()
        )
        assert low < total < high
        assert value == pytest.approx(total, abs=1.5)
        assert float(record["score"]) < low  # the rule judge alone is far below
    [comparison] = found["comparisons"]
    assert comparison["verdict"] == "no difference found"


def test_calibrated_under_another_protocol(graded: Path) -> None:
    """lmms-eval asks the same judge the same of MM-Vet, and a task that it does not have is an error."""
    protocol = ("--protocol", "lmms-eval@0.7.2")
    for judge in ("recorded", "rule"):
        assert invoke("score", graded, "--judge", judge, *protocol).exit_code == 0
    done = invoke("judge", "calibrate", graded, "--judge", "rule", "--run", graded, "--json", *protocol)
    official = invoke("judge", "calibrate", graded, "--judge", "rule", "--run", graded, "--json")
    found, known = json.loads(done.stdout), json.loads(official.stdout)
    assert found["protocol"] == "lmms-eval@0.7.2"
    assert found["calibration"] == known["calibration"]
    assert [(s["model"], s["n"]) for s in found["scores"]] == [("llava", 218), ("instructblip", 218)]
    none = invoke("judge", "calibrate", graded, "--judge", "rule", "--protocol", "vlmevalkit@2026-08").output
    assert "under the protocol vlmevalkit@2026-08" in none


def test_shown_for_people(graded: Path) -> None:
    shown = invoke("judge", "calibrate", graded, "--judge", "rule", "--run", graded).output
    assert "sensitivity" in shown
    assert "prediction-powered" in shown


def test_labels_of_a_file(tmp_path: Path) -> None:
    rows = [
        {"task": "mmvet", "question": "What is it?", "answer": "red<AND>blue", "response": text, "score": score}
        for text, score in (("red and blue", 1.0), ("red", 0.4), ("green", 0.0), ("crimson, blue", 0.9))
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    done = invoke("judge", "calibrate", path, "--judge", "rule", "--json")
    [record] = json.loads(done.stdout)["calibration"]
    assert record["labels"] == 4
    assert record["sensitivity"].startswith("100.0")  # 0.5 of the parts is enough
    assert record["specificity"].startswith("50.0")
    assert record["mean error"] == "-7.50"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no labels"),
        ("{", "labels.jsonl:1"),
        ('{"task": "mmvet"}', "no field 'score'"),
        ('{"task": "mmvet", "question": "q", "answer": "a", "response": "r", "score": 7}', "not in"),
        ("[1]", "labels.jsonl:1"),
    ],
)
def test_bad_labels(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(text)
    with pytest.raises(HarnessError, match=message):
        labels_of_file(path)


def test_a_run_without_reference(tmp_path: Path) -> None:
    assert "error" in invoke("judge", "calibrate", tmp_path, "--judge", "rule").output
