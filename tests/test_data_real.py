"""The shipped tasks on the real files beside the project, and where their hub sets are pinned."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from data_toy import toy
from pyarrow import parquet

from harness import registry
from harness.api import HubSet
from harness.data import open_dataset, open_questions

Find = Callable[[str], Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("name", "count"), [("ChartQA_TEST", 102), ("MMBench_DEV_EN", 20), ("MMBench_DEV_CN", 20), ("CCBench", 14)]
)
def test_real_tsv_files_equal_what_pandas_reads(shared: Find, name: str, count: int) -> None:
    path = shared("real/LMUData")
    found = open_dataset(toy(name, rows=9999), path)
    table = pd.read_csv(path / f"{name}.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert (len(found), found.edition) == (count, f"{name}.tsv ({count} of 9999 rows)")
    for sample, (_, row) in zip(found, table.iterrows(), strict=True):
        assert (sample.id, sample.question, sample.answer) == (row["index"], row["question"], row["answer"])
        assert sample.images[0].read() == base64.b64decode(row["image"])
        assert list(sample.choices.values()) == [row[letter] for letter in "ABCD" if row.get(letter)]


@pytest.mark.parametrize(
    ("hub", "count"),
    [(HubSet("lmms-lab-encoder/ChartQA"), 102), (HubSet("MMMU/MMMU_Pro", ("standard (10 options)",)), 21)],
)
def test_real_parquet_folders(shared: Find, hub: HubSet, count: int) -> None:
    found = open_dataset(toy(hub=hub), shared("real/hf"))
    assert len(found) == count
    file = next((shared("real/hf") / hub.repo.rpartition("/")[2]).rglob("*.parquet"))
    for sample, row in zip(found, parquet.read_table(file).to_pylist(), strict=True):
        stated = [row[name]["bytes"] for name in row if name.startswith("image") and row[name]]
        assert (sample.question, [image.read() for image in sample.images]) == (row["question"], stated)


@pytest.mark.parametrize(
    ("name", "folder", "count"),
    [
        ("chartqa", "LMUData", 102),
        ("mmbench_en", "LMUData", 20),
        ("mmbench_cn", "LMUData", 20),
        ("ccbench", "LMUData", 14),
        ("chartqa", "hf", 102),
        ("mmmu_pro_standard", "hf", 21),
    ],
)
def test_the_shipped_tasks_read_the_real_files(shared: Find, name: str, folder: str, count: int) -> None:
    found = open_dataset(registry.task(name), shared(f"real/{folder}"))
    assert len(found) == count
    assert f"({count} of " in found.edition
    assert all(sample.images and sample.cluster for sample in found)


@pytest.mark.parametrize(("file", "count"), [("train/puzzlevqa", 1218), ("eval/mathv", 304)])
def test_real_training_questions(shared: Find, file: str, count: int) -> None:
    found = open_questions(shared(f"real/{file}.parquet"))
    assert (len(found), found.task) == (count, file.partition("/")[2])
    for sample in found:
        assert sample.images
        if sample.choices:
            assert sample.answer in (sample.meta["letter"], sample.choices[sample.meta["letter"]])


def test_the_hub_sets_are_pinned_to_commits():
    floating = {
        task.name for task in registry.tasks() if task.hub.repo and not re.fullmatch("[0-9a-f]{40}", task.hub.revision)
    }
    assert floating == {"ai2d_no_mask", "seedbench2_plus"}  # docs/data.md says why
