"""Planted anomalies are found, clean tables are left alone, and the paper's own tables show what they show."""

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.api import HarnessError
from harness.audit import audit, read_table
from harness.cli import main

REFERENCE = Path(__file__).resolve().parents[1] / "results" / "reference"
NAMES = [f"bench{i}" for i in range(13)]
ITEMS = 765


def measured(rng, rows):
    """Rows as benchmarks give them: a skill, benchmarks of different ease, right answers counted, one decimal."""
    ease, gain = rng.uniform(40, 85, 13), rng.uniform(0.3, 2, 13)
    chance = ease + gain * np.linspace(0, 6, rows)[:, None]
    return np.round(100 * rng.binomial(ITEMS, chance / 100) / ITEMS, 1)


def table(folder, cells, names=None):
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", *NAMES])
        for i, row in enumerate(cells):
            writer.writerow([names[i] if names else f"model {i}", *(f"{value:.1f}" for value in row)])
    return read_table([path])


def kinds(findings):
    return sorted({finding.check for finding in findings})


def test_clean_tables_are_left_alone(tmp_path):
    rng = np.random.default_rng(0)
    alarms = [audit(table(tmp_path, measured(rng, 8)), dict.fromkeys(NAMES, ITEMS)) for _ in range(12)]
    assert sum(map(bool, alarms)) == 0


def test_clean_ladders_with_small_noise_are_left_alone(tmp_path):
    """Rows of one family: every stage a little better, measured on the same items, so with little noise."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(12):
        base, gain = rng.uniform(40, 85, 13), rng.uniform(1, 6, 13)
        rows = [base + step * gain + rng.normal(0, 0.4, 13) for step in (0, 0.3, 0.6, 1)]
        alarms += bool(audit(table(tmp_path, np.round(rows, 1))))
    assert alarms == 0


def test_planted_anomalies_are_found(tmp_path):
    rng = np.random.default_rng(2)
    for _ in range(4):
        clean = measured(rng, 5)
        gap = rng.uniform(2, 9, 13)
        planted = {
            "constant difference": clean[2] + 0.6,
            "fixed fraction": np.round(clean[0] + 0.4 * (np.round(clean[0] + gap, 1) - clean[0]), 1),
            "duplicate row": clean[1],
            "copied cells": np.where(np.arange(13) < 9, clean[3], clean[3] + rng.uniform(0.5, 2, 13)),
        }
        for kind, row in planted.items():
            extra = [np.round(clean[0] + gap, 1)] if kind == "fixed fraction" else []
            assert kinds(audit(table(tmp_path, [*clean, *extra, row]))) == [kind]


def test_grim_finds_what_no_count_gives_and_passes_what_one_gives(tmp_path):
    possible = {f"{100 * k / ITEMS:.1f}" for k in range(ITEMS + 1)}
    for tenth in range(0, 1001, 7):
        cells = np.full((1, 13), tenth / 10)
        assert bool(audit(table(tmp_path, cells), {"bench0": ITEMS})) == (f"{tenth / 10:.1f}" not in possible)


def test_an_average_that_is_not_its_rows_mean_is_found(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("model,average,x,y\na,50.0,49.0,51.0\nb,50.3,49.0,51.0\n")
    assert [(f.check, f.rows) for f in audit(read_table([path]))] == [("average", ["b"])]


def test_one_name_with_two_sets_of_numbers_is_a_conflict(tmp_path):
    cells = measured(np.random.default_rng(3), 2)
    assert kinds(audit(table(tmp_path, cells, ["same", "same"]))) == ["conflict"]


def test_the_papers_tables_show_their_known_anomalies():
    findings = audit(read_table(sorted(REFERENCE.glob("paper_table*.csv"))))
    found = {(f.check, *(row.partition(" (")[0] for row in f.rows)): f.told for f in findings}
    family = "InternVL3.5-8B"
    large, mask, reward = (f"{family} +{step}" for step in ("Large Teacher", "Mask-Progressive", "Reward Feedback"))
    assert found["constant difference", large, mask] == "+0.5 on all 13 benchmarks"
    assert found["constant difference", mask, reward] == "+0.8 on all 13 benchmarks"
    for step, low in (("Large Teacher", "0.24"), ("Mask-Progressive", "0.56")):
        rows = "Qwen3-VL-8B", f"Qwen3-VL-8B +{step}", "Qwen3-VL-8B +Reward Feedback"
        assert found["fixed fraction", *rows].startswith(f"between {low}")
    for step, low in (("Large", "0.07"), ("Mid", "0.21"), ("Mask", "0.48")):
        rows = "InternVL3.5-2B", f"InternVL3.5-2B +{step}", "InternVL3.5-2B +RF"
        assert found["fixed fraction", *rows].startswith(f"between {low}")
    assert ("conflict", "InternVL3-8B +Reward Feedback", "InternVL3-8B +Reward Feedback") in found
    assert ("duplicate row", "InternVL3-8B-Masters", "RIL-8B +Masters") in found
    assert not [key for key in found if key[0] == "average"]


def test_the_verb_lists_findings_and_writes_json(tmp_path):
    file = str(REFERENCE / "paper_table1.csv")
    words = ["audit", file, "--items", "realworldqa=765", "--json", str(tmp_path / "found.json")]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 0
    assert "realworldqa 74.3 is not a share of 765 questions" in ended.output
    assert (tmp_path / "found.json").read_text().startswith("[")


@pytest.mark.parametrize(
    ("text", "told"),
    [("name,x\na,1\n", "no column `model`"), ("model,x\na,1\nb,1o\n", "row 3: x is '1o'"), ("model,x\n", "no rows")],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, text, told):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(HarnessError, match=told):
        read_table([path])
