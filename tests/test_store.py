"""The run on disk: what is kept, who may write, what a user is told when it cannot."""

import math
import os
import sqlite3
import subprocess
import sys

import pytest

from harness.api import Generation, Group, HarnessError, Image, Metrics, Request, Response, Sample, State, Unit, Verdict
from harness.store import Cell, Result, Store, load_run, request_key

CELL = Cell("m", "chartqa", "official", "rule")


def result(**changes):
    fields = dict(
        cell=CELL, metrics=Metrics(50.0, 12.5, 2, {"split": {"human": Group(50.0, 2)}}), score_without_random=50.0,
        states={"scored": 2}, items=2, random=0, fingerprint="f", edition="mini", data_sha256="d", code="c",
    )  # fmt: skip
    return Result(**{**fields, **changes})


def fill(store: Store) -> None:
    store.add_samples("chartqa", [Sample(id="1", question="q", answer="4", meta={"split": "human"}, cluster="i")])
    store.add_responses([(b"k" * 32, Response("four ☃", "stop", (1, 70000), (-0.5, -1.0), 9))])
    verdict = Verdict(State.SCORED, 1.0, "4", "rule", False, "note")
    store.put_result(result(), [(0, "1", b"k" * 32, verdict)], [Unit("1", "i", 1.0, 1.0)])


def test_everything_kept_comes_back(tmp_path):
    with Store(tmp_path) as store:
        fill(store)
        response = store.responses([b"k" * 32, b"x" * 32])[b"k" * 32]
        assert response == Response("four ☃", "stop", (1, 70000), (-0.5, -1.0), 9)
        assert store.results() == [result()]
        assert store.units(CELL) == [Unit("1", "i", 1.0, 1.0)]
        assert store.verdicts(CELL)[0][2].note == "note"
        assert store.samples("chartqa")["1"].meta == {"split": "human"}
    run = load_run(tmp_path)
    assert run.items.loc[0, ["question", "response", "state", "cluster"]].tolist() == ["q", "four ☃", "scored", "i"]
    assert run.manifest is None


def test_a_result_replaces_its_predecessor_whole(tmp_path):
    with Store(tmp_path) as store:
        fill(store)
        store.put_result(result(items=0), [], [])
        assert store.verdicts(CELL) == []
        assert store.units(CELL) == []
        assert len(store.results()) == 1


def test_an_answer_is_never_replaced_but_an_error_is(tmp_path):
    key = b"k" * 32
    with Store(tmp_path) as store:
        store.add_responses([(key, Response("", "error", error="out of memory"))])
        assert store.answered([key]) == set()
        store.add_responses([(key, Response("good"))])
        store.add_responses([(key, Response("late"))])
        assert store.answered([key]) == {key}
        assert store.responses([key])[key].text == "good"


def test_second_writer_is_told_who_has_the_run(tmp_path):
    with Store(tmp_path):
        code = f"from harness.store import Store; Store({str(tmp_path)!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert other.returncode != 0
        assert f"in use by process {os.getpid()}" in other.stderr
    Store(tmp_path).close()  # free again


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path):
    with Store(tmp_path) as store:
        fill(store)
        store._db.execute("PRAGMA max_page_count = 30")
        many = [(i.to_bytes(32), Response("x" * 4000)) for i in range(1000)]
        with pytest.raises(HarnessError, match="free disk space"):
            store.add_responses(many)
    with Store(tmp_path) as store:
        assert store.results() == [result()]


def test_other_versions_and_other_files_are_refused(tmp_path):
    with pytest.raises(HarnessError, match="is not a run"):
        load_run(tmp_path)
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "run.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(HarnessError, match="store version 99"):
        Store(tmp_path)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "run.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(HarnessError, match="damaged"):
        Store(damaged)


def test_nan_standard_error_survives(tmp_path):
    with Store(tmp_path) as store:
        store.put_result(result(metrics=Metrics(1.0, math.nan, 1, {})), [], [])
        assert math.isnan(store.results()[0].metrics.stderr)


RED, BLUE = Image.from_bytes(b"red"), Image.from_bytes(b"blue")


@pytest.mark.parametrize(
    ("fingerprint", "other"),
    [
        ("g", Request(("a", RED))),
        ("f", Request(("a", BLUE))),
        ("f", Request((RED, "a"))),
        ("f", Request(("a", RED, ""))),
        ("f", Request(("a", RED), system="s")),
        ("f", Request(("a", RED), Generation(max_new_tokens=7))),
        ("f", Request(("a", RED), Generation(temperature=1.0))),
    ],
)
def test_identity_is_model_prompt_images_and_settings(fingerprint, other):
    assert request_key("f", Request(("a", RED))) != request_key(fingerprint, other)


def test_what_does_not_change_the_answer_does_not_change_the_key():
    same = Request(("a", Image.from_bytes(b"red")), Generation(seed=5, n=2))
    assert request_key("f", Request(("a", RED))) == request_key("f", same)
    assert request_key("f", Request(("a",), Generation(temperature=1, seed=1))) != request_key(
        "f", Request(("a",), Generation(temperature=1, seed=2))
    )


def test_a_lone_surrogate_is_kept_as_a_question_mark(tmp_path):
    with Store(tmp_path) as store:
        store.add_responses([(b"k" * 32, Response("a\ud800b"))])
        assert store.responses([b"k" * 32])[b"k" * 32].text == "a?b"
