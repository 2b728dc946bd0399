"""Faults of the machine: what was stored is kept, a rerun ends alike, and the user reads a sentence with a remedy.

benchmarks/soak.py does the same at length, with kills at random moments and full disks.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults import Ended, forked, harness, stored, table
from trainer_runs import recipe, run

from harness import registry
from harness.api import HarnessError
from harness.models import batches
from harness.store import Store, load_run
from trainers import step

AGAIN = "run the same command again to resume"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module", autouse=True)
def _no_report():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.cli.run._show", lambda *_: None)  # tested elsewhere, and slow
        yield


@pytest.fixture(scope="module")
def command():
    model = registry.load("checkpoints", "student")()
    return ["run", "--model", model, "--tasks", "chartqa,mmstar", "--limit", 20, "--batch-tokens", 1500, "--out"]


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    ended = forked(harness(*command, folder))
    assert ended.code == 0, ended.text
    return folder


@pytest.fixture
def begun(whole, tmp_path):
    """The same run without its end: no results, no exports, half of its responses."""
    folder = tmp_path / "begun"
    shutil.copytree(whole, folder)
    for path in folder.iterdir():
        if path.name != "run.sqlite":
            path.unlink()
    with Store(folder) as store, store._writing() as db:
        db.execute("DELETE FROM cells")
        keys = [key for (key,) in db.execute("SELECT key FROM responses ORDER BY key")]
        db.executemany("DELETE FROM responses WHERE key = ?", [(key,) for key in keys[::2]])
    return folder


def sentence(ended: Ended) -> str:
    """The message, which must be one: no traceback, a remedy."""
    assert ended.code == 1, ended.text
    assert "Traceback" not in ended.text, ended.text
    assert "remedy:" in ended.text, ended.text
    return ended.message


def resumes(command, folder: Path, whole: Path) -> None:
    ended = forked(harness(*command, folder))
    assert ended.code == 0, ended.text
    assert table(folder) == table(whole)


# ---------------------------------------------------------------- signals


def signalled(number: int, at: int, times: int = 1):
    """`decode` that is signalled in the middle of its batch number `at`."""
    real, calls = batches.decode, iter(range(10**9))

    def decode(*arguments):
        if next(calls) == at:
            for _ in range(times):
                os.kill(os.getpid(), number)
        return real(*arguments)

    return decode


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_finishes_the_batch_and_says_how_to_resume(command, whole, tmp_path, monkeypatch, number, code):
    kept = []
    for at in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(batches, "decode", signalled(number, at))
            ended = forked(harness(*command, tmp_path / str(at)))
        assert ended.code == code, ended.text
        assert "stopping when the batch under way is stored; again to stop at once" in ended.text
        assert AGAIN in ended.text
        assert "Traceback" not in ended.text
        kept.append(len(stored(tmp_path / str(at))))
    assert 0 < kept[0] < kept[1] < len(stored(whole))  # the batch that was signalled is kept
    resumes(command, tmp_path / "2", whole)


def test_a_second_signal_stops_at_once(command, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(batches, "decode", signalled(signal.SIGINT, 1, times=2))
        ended = forked(harness(*command, tmp_path))
    assert ended.code == 130
    assert AGAIN in ended.text
    resumes(command, tmp_path, whole)


def test_what_the_process_was_told_to_ignore_stays_ignored(command, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "decode", signalled(signal.SIGINT, 1))
    work = harness(*command, tmp_path)
    ended = forked(lambda: (signal.signal(signal.SIGINT, signal.SIG_IGN), work()))
    assert ended.code == 0, ended.text


def test_a_signal_finishes_the_training_step(models, tmp_path, monkeypatch):
    asked = recipe(models, "masters", **{"train.save_steps": 100})
    whole = run(asked, tmp_path / "whole")
    done = tmp_path / "steps"
    real = step.Stepper.step

    def noted(self, groups, signals, number):
        with done.open("a") as file:
            file.write(f"{number}\n")
        if number == 2 and len(done.read_text().split()) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, groups, signals, number)

    monkeypatch.setattr(step.Stepper, "step", noted)

    def work():
        from harness import interrupt

        try:
            with interrupt.listening():
                run(asked, tmp_path / "stopped")
        except interrupt.Stopped as stopped:
            raise SystemExit(stopped.exit_code) from None

    assert forked(work).code == 143
    stages = run(asked, tmp_path / "stopped")
    assert done.read_text().split() == ["0", "1", "2", "3"]  # none twice, although no state was due
    files = [[(Path(s.checkpoint) / "model.safetensors").read_bytes() for s in each] for each in (whole, stages)]
    assert files[0] == files[1]


# ---------------------------------------------------------------- disk


@pytest.mark.parametrize("size", [30_000, 60_000, 120_000])
def test_a_file_that_may_not_grow_is_a_sentence_and_a_rerun_ends_alike(command, whole, tmp_path, size):
    message = sentence(forked(harness(*command, tmp_path), limits={resource.RLIMIT_FSIZE: size}))
    assert "space" in message or "limit of file sizes" in message or "disk" in message
    resumes(command, tmp_path, whole)


def test_a_folder_that_cannot_be_written_is_a_sentence(command, begun, whole):
    me = os.getuid()
    folder = begun.parent / "closed"
    begun.rename(folder)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in list(folder.parents)[:-2]:
        if me == 0:
            parent.chmod(0o755)
    message = sentence(forked(harness(*command, folder), uid=65534 if me == 0 else 0))
    assert f"cannot write to {folder}" in message
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    resumes(command, folder, whole)


# ---------------------------------------------------------------- clock


def test_no_number_depends_on_the_clock(command, begun, whole, monkeypatch):
    """Wall clock, file times and even the monotonic clock jump back and forth; the table is the same."""
    draw = random.Random(0)
    for path in begun.iterdir():
        os.utime(path, (0, 2**32))
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: draw.uniform(-1e9, 4e9))
    ended = forked(harness(*command, begun))
    monkeypatch.undo()
    assert ended.code == 0, ended.text
    assert table(begun) == table(whole)


# ---------------------------------------------------------------- damaged and old files


def test_a_damaged_run_is_refused_by_name_or_read(command, whole, tmp_path):
    """Bits flipped anywhere in the database: a sentence, or a table; never a traceback."""
    draw = random.Random(1)
    data = (whole / "run.sqlite").read_bytes()
    refused: list[bool] = []
    for trial in range(12):
        damaged = bytearray(data)
        for _ in range(40 if trial % 2 else 1):
            damaged[draw.randrange(len(data) // 8 if trial % 3 else len(data))] ^= 1 << draw.randrange(8)
        folder = tmp_path / str(trial)
        folder.mkdir()
        (folder / "run.sqlite").write_bytes(damaged[: draw.randrange(len(data)) if trial % 4 == 3 else None])
        try:
            load_run(folder)
        except HarnessError as error:
            refused.append(str(folder) in error.message and bool(error.remedy))
    assert refused
    assert all(refused)


def test_a_truncated_manifest_is_named(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "manifest.json").write_text('{"harness": "0.')
    with pytest.raises(HarnessError, match=r"manifest\.json cannot be read"):
        load_run(tmp_path / "run")


def test_a_store_of_another_version_is_refused_with_a_sentence(command, begun):
    with Store(begun) as store, store._writing() as db:
        db.execute("PRAGMA user_version = 77")
    message = sentence(forked(harness(*command, begun)))
    assert "has store version 77; this harness reads version" in message


def test_a_truncated_checkpoint_is_a_sentence(command, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(command[2], model)
    for keep in (0, 4, 1000, -1):
        weights = (Path(command[2]) / "model.safetensors").read_bytes()[:keep]
        (model / "model.safetensors").write_bytes(weights)
        message = sentence(forked(harness("run", "--model", model, *command[3:], tmp_path / "out")))
        assert f"model {model}: its weights cannot be loaded" in message


@pytest.fixture(scope="module")
def trained(models, tmp_path_factory):
    """A training that stopped in its second stage."""
    folder = tmp_path_factory.mktemp("trained")
    asked = recipe(models, "masters")
    real = step.Stepper.step

    def dies(self, groups, signals, number):
        return os.kill(os.getpid(), signal.SIGKILL) if number == 3 else real(self, groups, signals, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step.Stepper, "step", dies)
        assert forked(lambda: run(asked, folder)).code == -signal.SIGKILL
    return asked, folder, [(Path(s.checkpoint) / "model.safetensors").read_bytes() for s in run(asked, folder / "w")]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """One bit in a page: parquet's own checks do not see it, the checksum does."""
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("pattern", "harm"),
    [
        ("gen/*/part-*.parquet", cut),
        ("gen/*/part-*.parquet", flip),
        ("checkpoints/masters/seed0/stage0/model.safetensors", cut),
        ("masters/seed0/state/*/*.bin", cut),
        ("masters/seed0/state/*/*.pkl", cut),
        ("masters/seed0/state/*/position.json", cut),
        ("masters/seed0/train.jsonl", cut),
    ],
)
def test_damage_to_a_training_is_named_and_mended_as_told(trained, tmp_path, pattern, harm):
    asked, folder, expected = trained
    shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("w"))
    victims = list((tmp_path / "run").glob(pattern))
    for victim in victims:
        harm(victim)
    told, stages = 0, None
    while stages is None:
        try:
            stages = run(asked, tmp_path / "run")
        except HarnessError as error:
            told += 1
            named = next(v for v in (*victims, *(v.parent for v in victims)) if error.message.startswith(str(v)))
            if "this file" in error.remedy:
                named.unlink()
            else:
                shutil.rmtree(error.remedy.removeprefix("delete ").partition(";")[0])
    assert told or pattern.endswith("jsonl")  # a log: its cut lines are written again
    assert [(Path(s.checkpoint) / "model.safetensors").read_bytes() for s in stages] == expected


# ---------------------------------------------------------------- two processes, memory


def test_a_second_process_on_the_folder_is_told_who_has_it(command, begun, whole):
    with Store(begun):
        message = sentence(forked(harness(*command, begun)))
        assert f"{begun} is in use by process {os.getpid()}" in message
    resumes(command, begun, whole)


def used() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def test_no_memory_is_a_sentence_and_a_rerun_ends_alike(command, begun, whole):
    """Steps of little memory: loading fails, or batches do; whatever it is, it is told and nothing is lost."""
    before = stored(begun)
    for room in (8, 60):
        ended = forked(harness(*command, begun), limits={resource.RLIMIT_AS: used() + (room << 20)})
        assert ended.code in (0, 1), ended.text
        assert "Traceback" not in ended.text, ended.text
        assert before <= stored(begun)
    resumes(command, begun, whole)


def test_a_prompt_that_cannot_be_prepared_for_want_of_memory_is_an_error_of_its_item(command, begun, monkeypatch):
    def none_left(self, request):
        raise MemoryError

    from harness.models.preprocess import Preprocessor

    monkeypatch.setattr(Preprocessor, "_prepare", lambda self, key, request: none_left(self, request))
    message = sentence(forked(harness(*command, begun)))
    assert "items ended in state error" in message


def test_a_fresh_process_stops_on_ctrl_c_before_anything_is_loaded(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", "import os, signal, harness.cli as c\n"
         "c.Verbs.get_command = lambda *a: os.kill(os.getpid(), signal.SIGINT)\nc.main(['run'])"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _, text = process.communicate()
    assert process.returncode == 130
    assert AGAIN in text
    assert "Traceback" not in text
