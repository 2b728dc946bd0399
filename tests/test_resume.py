"""A finished run that is asked for again: nothing is made twice, and whatever has changed is made anew."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import harness
from harness import registry
from harness.api import Response
from harness.cli import main
from harness.store import Store
from harness.store.manifest import Manifest

MADE = ("items.parquet", "units.parquet", "manifest.json", "leaderboard.csv", "report.html")


class Steady:
    """Says the same to all; nothing of it is a checkpoint."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fingerprint(self):
        return self.name

    def generate(self, requests):
        yield from ((index, Response("A")) for index, _ in enumerate(requests))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`harness run` in this process, with a model that needs no checkpoint."""
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name: Steady if kind == "models" else load(kind, name))
    monkeypatch.setattr("harness.store.manifest._git", lambda: {"commit": "one", "dirty": False})

    def again(*words: str) -> str:
        command = ["run", "--tasks", "chartqa", "--model", "steady", "--limit", "20", "--out", str(tmp_path), *words]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        return done.output

    return again


def state(folder: Path) -> dict[str, tuple[int, str]]:
    """When each file was written, and what is in it; without SQLite's notes to itself, which a reader leaves behind."""
    own = (".lock", "run.sqlite-wal", "run.sqlite-shm")
    files = (file for file in folder.iterdir() if file.name not in own)
    return {f.name: (f.stat().st_mtime_ns, hashlib.sha256(f.read_bytes()).hexdigest()) for f in files}


def changed(before: dict[str, tuple[int, str]], folder: Path) -> set[str]:
    """The files that were written since."""
    after = state(folder)
    return {name for name in after if after[name][0] != before.get(name, (0, ""))[0]}


def test_a_finished_run_is_left_as_it_is(run, tmp_path):
    assert "written" in run()
    before = state(tmp_path)
    assert set(MADE) < set(before)
    for _ in range(2):
        assert "nothing has changed" in run()
        assert state(tmp_path) == before


@pytest.mark.parametrize("words", [["--max-error-rate", "0.5"], ["--limit", "40"], ["--model", "other"],
                                   ["--protocol", "lmms-eval@0.7.2"], ["--skip-bad-rows"]])  # fmt: skip
def test_what_is_asked_otherwise_is_made_anew(run, tmp_path, words):
    run()
    before = state(tmp_path)
    assert "written" in run(*words)
    assert changed(before, tmp_path) >= set(MADE)
    arguments = Manifest.model_validate_json((tmp_path / "manifest.json").read_text()).arguments
    assert all(str(value) in json.dumps(arguments) for value in words[1:])


def test_another_version_or_commit_makes_it_anew(run, tmp_path, monkeypatch):
    run()
    for name, value in (("__version__", "9.9"), ("_git", lambda: {"commit": "two", "dirty": False})):
        before = state(tmp_path)
        monkeypatch.setattr(f"harness.store.manifest.{name}", value)
        assert "written" in run()
        assert changed(before, tmp_path) >= set(MADE)
    assert harness.__version__ not in json.loads((tmp_path / "manifest.json").read_text())["harness"]


@pytest.mark.parametrize("lost", MADE)
def test_what_is_missing_is_made_again(run, tmp_path, lost):
    run()
    content = (tmp_path / lost).read_bytes()
    (tmp_path / lost).unlink()
    run()
    assert (tmp_path / lost).exists()
    if lost != "manifest.json":
        assert (tmp_path / lost).read_bytes() == content
    assert "nothing has changed" in run()


def test_a_report_older_than_the_run_is_made_again(run, tmp_path):
    """As a kill leaves it that comes after the manifest and before the report."""
    run()
    manifest = tmp_path / "manifest.json"
    text = manifest.read_bytes()
    (tmp_path / "report.html").write_text("of an earlier run")
    manifest.unlink()
    manifest.write_bytes(text)
    assert "written" in run()
    assert "of an earlier run" not in (tmp_path / "report.html").read_text()[:100]


def test_scores_that_changed_in_the_store_are_exported(run, tmp_path):
    run()
    before = state(tmp_path)
    with Store(tmp_path) as store:
        [old] = store.results()
        rows = [(i, id, key, v) for i, (id, key, v) in enumerate(store.verdicts(old.cell))]
        store.put_result(old, rows[:-1], store.units(old.cell))
        other = type(old)(**{name: getattr(old, name) for name in old.__slots__} | {"seconds": 1e6})
        store.put_result(other, rows, store.units(old.cell))
    assert "written" in run()
    assert changed(before, tmp_path) >= set(MADE)


def test_items_are_kept_again_only_where_their_content_or_code_changed(tmp_path):
    task = registry.task("chartqa")
    samples = list(harness.data.open_dataset(task))[:3]
    with Store(tmp_path) as store:
        store.add_samples("chartqa", samples, of="a", part="3")
        store.add_samples("chartqa", pytest.fail, of="a", part="3")  # not read
        store.add_samples("chartqa", samples[:1], of="b", part="1")
        store.add_samples("chartqa", samples, of="b", part="3")
        with pytest.raises(TypeError):
            store.add_samples("chartqa", pytest.fail, of="a", part="3")  # b's may lie in their places now
        assert list(store.samples("chartqa")) == sorted(sample.id for sample in samples)
