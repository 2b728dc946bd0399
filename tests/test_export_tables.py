"""items.parquet and units.parquet hold what the database holds, whatever the size of batches and row groups."""

import sqlite3

import pandas
import pytest
from pyarrow import parquet

from harness.api import HarnessError, Metrics, Response, Sample, State, Unit, Verdict
from harness.store import Cell, Result, Store, load_run
from harness.store.frames import export

TEXTS = ("plain", "", "größer ≥ 答案 🙂", "two\nlines\twith \0", '{"json": "in a text"}')


def fill(folder, models=("one", "zwölf"), protocols=("official", "other@1"), items=23):
    """A run of several cells, whose names and texts have various lengths."""
    samples = [
        Sample(
            str(i), f"{TEXTS[i % 5]}?", TEXTS[i % 3], (), {"A": TEXTS[i % 4]}, {"n": [i, None]}, cluster=f"c{i // 2}"
        )
        for i in range(items)
    ]
    with Store(folder) as store:
        store.add_samples("task", samples)
        for model in models:
            keys = [f"{model} {i}".encode() for i in range(items)]
            answers = [Response(TEXTS[i % 5], token_ids=tuple(range(i)), prompt_tokens=i) for i in range(items)]
            store.add_responses(zip(keys, answers, strict=True))
            for protocol in protocols:
                units = [Unit(s.id, s.cluster, i / items, 1 / items) for i, s in enumerate(samples)]
                verdicts = [
                    Verdict(list(State)[i % 6], i / items, TEXTS[-i % 5], protocol, i % 2 == 0, TEXTS[i % 2])
                    for i in range(items)
                ]
                result = Result(
                    Cell(model, "task", protocol, "rule"), Metrics(1.0, 0.5, items, {}, tuple(units)), 1.0, {}, items,
                    0, "f", "mini", "d", "c",
                )  # fmt: skip
                rows = ((i, str(i), keys[i], v) for i, v in enumerate(verdicts))
                store.put_result(result, rows, units)


@pytest.mark.parametrize(("batch", "group"), [(512, 16_384), (1, 1), (7, 20), (23, 46), (100, 1)])
def test_the_tables_hold_the_frames(tmp_path, monkeypatch, batch, group):
    """Frames come by another way: pandas reads the rows as text."""
    fill(tmp_path)
    monkeypatch.setattr("harness.store.store._SMALL_BATCH", batch)
    monkeypatch.setattr("harness.store.frames._ROW_GROUP", group)
    with Store(tmp_path) as store:
        export(store)
    run = load_run(tmp_path)
    for name, frame in (("items", run.items), ("units", run.units)):
        table = parquet.read_table(tmp_path / f"{name}.parquet")
        pandas.testing.assert_frame_equal(table.to_pandas(), frame, check_dtype=False)
        assert table.num_rows == 4 * 23
        assert set(map(str, table.schema.types)) == {"large_string", "double"} | (
            {"int64"} if name == "items" else set()
        )


def test_a_run_without_cells_has_empty_tables(tmp_path):
    with Store(tmp_path) as store:
        export(store)
    assert parquet.read_table(tmp_path / "items.parquet").num_rows == 0


def test_text_that_is_no_text_is_an_error_and_the_old_tables_stay(tmp_path):
    fill(tmp_path, models=("one",), protocols=("official",))
    with Store(tmp_path) as store:
        export(store)
    before = (tmp_path / "items.parquet").read_bytes()
    with sqlite3.connect(tmp_path / "run.sqlite") as db:
        db.execute("UPDATE verdicts SET note = CAST(x'ff41' AS TEXT) WHERE position = 3")
    with Store(tmp_path) as store, pytest.raises(HarnessError, match="not UTF-8"):
        export(store)
    assert (tmp_path / "items.parquet").read_bytes() == before
