"""Conversion is killed, or the disk is full: nothing half-made is ever read."""

from __future__ import annotations

import base64
import fcntl
import io
import multiprocessing
import os
import resource
import signal
from pathlib import Path

import PIL.Image
import pytest

from harness.api import HarnessError, HubSet, Row, Sample, Task, TsvFile
from harness.data import open_dataset
from harness.data.schema import cell, images, text

ROWS = 60


def from_tsv(row: Row) -> Sample:
    if os.environ.get("TEST_DIE_AT") == cell(row, "index"):
        os.kill(os.getpid(), signal.SIGKILL)
    return Sample(str(cell(row, "index")), text(row, "question"), text(row, "answer"), images(row))


TOY = Task("toy", "Toy", TsvFile("TOY"), HubSet("someone/Toy"), from_tsv, from_tsv, {})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    lines = ["index\timage\tquestion\tanswer"]
    for index in range(ROWS):
        out = io.BytesIO()
        PIL.Image.effect_noise((32, 32), 50 + index).save(out, "PNG")
        lines.append(f"{index}\t{base64.b64encode(out.getvalue()).decode()}\t?\t1")
    (tmp_path / "TOY.tsv").write_text("\n".join(lines))
    return tmp_path


def in_child(action: str, folder: Path) -> int | None:
    child = multiprocessing.get_context("fork").Process(target=_child, args=(action, folder))
    child.start()
    child.join(60)
    return child.exitcode


def _child(action: str, folder: Path) -> None:
    if action == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        with pytest.raises(HarnessError, match=r"(?s)cannot write the data cache.*free some space"):
            open_dataset(TOY, folder)
        return
    os.environ["TEST_DIE_AT"] = action
    open_dataset(TOY, folder)


@pytest.mark.parametrize("row", ["0", "31", str(ROWS - 1)])
def test_a_killed_conversion_leaves_nothing_that_is_read(folder: Path, row: str) -> None:
    assert in_child(row, folder) == -signal.SIGKILL
    left = list((folder / "cache/data").iterdir())
    assert [path.name.partition("-")[0] for path in left] == ["making"]
    assert len(open_dataset(TOY, folder)) == ROWS
    assert not left[0].exists()


def test_what_another_process_still_fills_is_left_alone_whatever_the_clock_says(folder: Path) -> None:
    busy = folder / "cache/data/making-busy"
    busy.mkdir(parents=True)
    os.utime(busy, (0, 0))
    handle = os.open(busy, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    open_dataset(TOY, folder)
    assert busy.exists()
    os.close(handle)
    os.utime(busy, (2**33, 2**33))
    (folder / "TOY.tsv").touch()
    open_dataset(TOY, folder)
    assert not busy.exists()


def test_a_full_disk_is_one_clear_sentence_and_leaves_nothing(folder: Path) -> None:
    assert in_child("full", folder) == 0
    assert list((folder / "cache/data").iterdir()) == []
    assert len(open_dataset(TOY, folder)) == ROWS
