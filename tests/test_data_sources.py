"""Every source end to end, on files made here and on the real ones beside the project."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import multiprocessing
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pandas as pd
import PIL.Image
import pyarrow as pa
import pytest
from data_toy import toy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from harness.api import HarnessError, HubSet
from harness.data import open_dataset

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def png(shade: int, side: int = 8) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("L", (side, side), shade).save(out, "PNG")
    return out.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write_tsv(folder: Path, rows: list[dict[str, Any]], name: str = "TOY") -> Path:
    """As VLMEvalKit's files are written: pandas."""
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return folder


def item(index: int, image: str | None = None, **more: Any) -> dict[str, Any]:
    return {"index": index, "image": b64(png(index)) if image is None else image, "question": "?", "answer": "1"} | more


# ---------------------------------------------------------------- VLMEvalKit TSV


def test_a_tsv_is_read_with_its_images_and_text_as_it_stands(tmp_path: Path) -> None:
    question = 'Tab\there, "quotes"\nand a line; 图中'
    rows = [item(3, question=question, answer="1.0"), item(7, A="None", B="NA", C=None, answer="B")]
    found = open_dataset(toy(), write_tsv(tmp_path / "d", rows))
    assert [sample.id for sample in found] == ["3", "7"]
    assert (found[0].question, found[0].answer) == (question, "1.0")
    assert found[1].choices == {"A": "None", "B": "NA"}  # pandas' reader would lose both options
    assert found[0].images[0].read() == png(3)
    assert found[0].images[0].sha256 == hashlib.sha256(png(3)).hexdigest() == found[0].cluster
    assert (found.task, found.edition, found.skipped, len(found)) == ("toy", "TOY.tsv", 0, 2)
    assert found[-1].id == "7"
    assert [sample.id for sample in found[:1]] == ["3"]


def test_an_image_is_another_rows_index_or_a_list_and_is_stored_once(tmp_path: Path, cache: Path) -> None:
    big = [item(1, image="3"), item(2, image=repr([b64(png(1)), b64(png(2))])), item(3), item(4, image="2")]
    found = open_dataset(toy(), write_tsv(tmp_path / "d", big))
    shown = [[image.read() for image in sample.images] for sample in found]
    assert shown == [[png(3)], [png(1), png(2)], [png(3)], [png(1), png(2)]]
    assert found[0].cluster == found[2].cluster
    assert (found.path / "images.bin").stat().st_size == sum(len(png(n)) for n in (1, 2, 3))


def test_images_in_files_beside_the_tsv(tmp_path: Path) -> None:
    rows = [item(1), item(2)]
    rows[0]["image_path"], rows[1]["image_path"] = "images/a.png", "['images/a.png', 'images/b.png']"
    rows[0]["image"] = rows[1]["image"] = None
    folder = write_tsv(tmp_path / "d", rows)
    (folder / "images").mkdir()
    (folder / "images/a.png").write_bytes(png(1))
    (folder / "images/b.png").write_bytes(png(2))
    first = open_dataset(toy(), folder)
    assert [image.read() for image in first[1].images] == [png(1), png(2)]
    unread = open_dataset(toy(), folder)
    (folder / "images/b.png").write_bytes(png(200, side=9))
    second = open_dataset(toy(), folder)
    assert second[1].images[1].read() == png(200, side=9)
    assert second.sha256 != first.sha256
    assert unread[1].images[1].read() == first[1].images[1].read() == png(2)  # an open data set keeps what it opened


def test_rows_of_another_split_are_no_items(tmp_path: Path) -> None:
    folder = write_tsv(tmp_path / "d", [item(1, split="video"), item(2, split="test")])
    assert [sample.id for sample in open_dataset(toy(), folder)] == ["2"]


def test_the_whole_set_must_have_the_published_md5(tmp_path: Path) -> None:
    folder = write_tsv(tmp_path / "d", [item(1), item(2)])
    md5 = hashlib.md5((folder / "TOY.tsv").read_bytes()).hexdigest()
    assert open_dataset(toy(md5=md5, rows=2), folder).edition == "TOY.tsv"
    assert open_dataset(toy(md5="0" * 32, rows=9), folder).edition == "TOY.tsv (2 of 9 rows)"
    with pytest.raises(HarnessError, match=f"(?s)TOY.tsv has all 2 rows.*{md5}, not 000.*download it again"):
        open_dataset(toy(md5="0" * 32, rows=2), write_tsv(tmp_path / "e", [item(1), item(2)]))
    own = (folder / "TOY.tsv").rename(folder / "MINE.tsv")
    assert open_dataset(toy(md5="0" * 32, rows=2), own).edition == "MINE.tsv"


def test_limit_keeps_the_first_and_says_so(tmp_path: Path) -> None:
    folder = write_tsv(tmp_path / "d", [item(n) for n in range(5)])
    whole, some = open_dataset(toy(), folder), open_dataset(toy(), folder, limit=2)
    assert [sample.id for sample in some] == ["0", "1"]
    assert some.edition == "TOY.tsv (2 of 5 rows)"
    assert some.sha256 != whole.sha256
    assert open_dataset(toy(), folder, limit=99).sha256 == whole.sha256


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1), st.integers(0, 9)),
        min_size=1,
        max_size=5,
    )
)
def test_any_text_survives_the_way_through_tsv_and_cache(tmp_path: Path, stated: list[tuple[str, int]]) -> None:
    rows = [item(n, question=f"q{question}", image=b64(png(shade))) for n, (question, shade) in enumerate(stated)]
    found = open_dataset(toy(), write_tsv(tmp_path / "d", rows))
    assert [(s.question, s.images[0].read()) for s in found] == [(f"q{q}", png(shade)) for q, shade in stated]


def test_the_content_hash_sees_rows_and_images_but_not_where_they_lie(tmp_path: Path) -> None:
    base = [item(1), item(2)]
    one = open_dataset(toy(), write_tsv(tmp_path / "a", base)).sha256
    assert open_dataset(toy(), write_tsv(tmp_path / "b", base)).sha256 == one
    other_image = open_dataset(toy(), write_tsv(tmp_path / "c", [item(1), item(2, image=b64(png(9)))])).sha256
    other_text = open_dataset(toy(), write_tsv(tmp_path / "e", [item(1), item(2, answer="2")])).sha256
    assert len({one, other_image, other_text}) == 3


# ---------------------------------------------------------------- the cache


def test_a_second_open_converts_nothing_and_an_edited_file_is_seen(tmp_path: Path, cache: Path) -> None:
    folder = write_tsv(tmp_path / "d", [item(1)])
    first = open_dataset(toy(), folder)
    made = first.path.stat().st_mtime_ns
    again = open_dataset(toy(), folder)
    assert (again.path, again.path.stat().st_mtime_ns, again.sha256) == (first.path, made, first.sha256)
    write_tsv(folder, [item(1), item(2)])
    assert len(open_dataset(toy(), folder)) == 2
    assert [path.name for path in (cache / "data").iterdir()] == [first.path.name]


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    folder = write_tsv(tmp_path / "d", [item(1)])
    opened = open_dataset(toy(), folder)
    path = opened.path
    (path / "images.bin").write_bytes(bytes(len(png(1))))
    with pytest.raises(HarnessError, match="damaged"):
        opened[0].images[0].read()
    for name in ("images.bin", "rows.arrow", "dataset.json"):
        (path / name).write_bytes(b"")
        assert open_dataset(toy(), folder)[0].images[0].read() == png(1)


def _open_in_child(folder: str) -> str:
    return open_dataset(toy(), folder).sha256


def test_processes_that_open_the_same_new_data_agree(tmp_path: Path, cache: Path) -> None:
    folder = write_tsv(tmp_path / "d", [item(n, image=b64(png(n, side=64))) for n in range(50)])
    with multiprocessing.get_context("fork").Pool(3) as pool:
        found = pool.map(_open_in_child, [str(folder)] * 6, chunksize=1)
    assert len(set(found)) == 1
    assert len(list((cache / "data").iterdir())) == 1


def test_images_travel_to_other_processes(tmp_path: Path) -> None:
    image = open_dataset(toy(), write_tsv(tmp_path / "d", [item(1)]))[0].images[0]
    assert pickle.loads(pickle.dumps(image)).read() == png(1)


def test_a_cache_that_cannot_be_written_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "file"))
    with pytest.raises(HarnessError, match=r"(?s)cannot write the data cache.*MASTERS_HARNESS_CACHE"):
        open_dataset(toy(), write_tsv(tmp_path / "d", [item(1)]))


# ---------------------------------------------------------------- Hugging Face parquet and hub

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write_parquet(path: Path, rows: list[dict[str, Any]], **kinds: pa.DataType) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: pa.array([row[name] for row in rows], kinds.get(name)) for name in rows[0]}
    parquet.write_table(pa.table(columns), path)
    return path


def hub_item(shade: int) -> dict[str, Any]:
    return {"question": "?", "answer": str(shade), "image": {"bytes": png(shade), "path": None}}


def test_shards_and_configs_are_concatenated_in_order(tmp_path: Path) -> None:
    for place, name in enumerate(["one/test-00000-of-00002", "one/test-00001-of-00002", "two/test-00000-of-00001"]):
        write_parquet(tmp_path / f"Toy/{name}.parquet", [hub_item(10 * place), hub_item(10 * place + 1)], image=IMAGE)
    write_parquet(tmp_path / "Toy/one/train-00000-of-00001.parquet", [hub_item(99)], image=IMAGE)
    found = open_dataset(toy(hub=HubSet("someone/Toy", ("one", "two"), rows=100)), tmp_path)
    assert [sample.answer for sample in found] == ["0", "1", "10", "11", "20", "21"]
    assert [sample.id for sample in found] == [str(n) for n in range(6)]  # a set without ids: the row's number
    assert found[4].images[0].read() == png(20)
    assert found.edition == "Toy/one (6 of 100 rows)"


def test_a_set_that_lacks_a_config_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    write_parquet(tmp_path / "Toy/one/test-0.parquet", [hub_item(1)], image=IMAGE)
    with pytest.raises(HarnessError, match="config 'two'"):
        open_dataset(toy(hub=HubSet("someone/Toy", ("one", "two"))), tmp_path)


def test_image_columns_may_be_numbered_lists_or_binary(tmp_path: Path) -> None:
    struct = {"bytes": png(1), "path": "a.png"}
    rows: list[dict[str, Any]] = [{"question": "?", "answer": "1", "image_1": struct, "image_2": None}]
    write_parquet(tmp_path / "a/Toy/test.parquet", rows, image_1=IMAGE, image_2=IMAGE)
    rows = [{"question": "?", "answer": "1", "image": [struct, {"bytes": png(2), "path": None}]}]
    write_parquet(tmp_path / "b/Toy/data/test-0.parquet", rows, image=pa.list_(IMAGE))
    write_parquet(tmp_path / "c/Toy/test-0.parquet", [{"question": "?", "answer": "1", "image": png(3)}])
    write_parquet(tmp_path / "d/Toy/toy.parquet", [{"question": "?", "answer": "1", "image": png(4)}])
    shown = [[i.read() for i in open_dataset(toy(), tmp_path / name)[0].images] for name in "abcd"]
    assert shown == [[png(1)], [png(1), png(2)], [png(3)], [png(4)]]
    assert open_dataset(toy(), tmp_path / "d/Toy")[0].images[0].read() == png(4)
    write_parquet(tmp_path / "e/Toy/data/train-0.parquet", [{"question": "?", "answer": "1", "image": png(3)}])
    with pytest.raises(HarnessError, match="no data for the task"):
        open_dataset(toy(), tmp_path / "e")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The network's two calls answered from disk; what was asked for is recorded."""
    file = write_parquet(tmp_path / "hub/test.parquet", [hub_item(1), hub_item(2)], image=IMAGE)
    real, asked = datasets.load_dataset, []

    def load(repo: str, config: str | None, *, split: str, revision: str) -> Any:
        asked.append((repo, config, split, revision))
        return real("parquet", data_files={split: str(file)}, split=split, cache_dir=str(tmp_path / "hf"))

    class Info:
        sha = COMMIT

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_args, **_kw: Info)
    return asked


def test_the_hub_is_asked_once_for_a_pinned_commit_that_the_edition_names(hub: list[Any]) -> None:
    task = toy(hub=HubSet("someone/Toy", ("default",), "val", rows=2))
    found = open_dataset(task, "hub")
    assert found.edition == f"hub someone/Toy@{COMMIT}"
    assert [sample.images[0].read() for sample in found] == [png(1), png(2)]
    open_dataset(task, "hub")
    assert hub == [("someone/Toy", None, "val", COMMIT)]


@pytest.mark.parametrize(("setting", "value"), [("HF_HUB_OFFLINE", True), ("ENDPOINT", "http://127.0.0.1:9")])
def test_without_network_the_hub_says_what_to_do(monkeypatch: pytest.MonkeyPatch, setting: str, value: object) -> None:
    monkeypatch.setattr(huggingface_hub.constants, setting, value)
    with pytest.raises(HarnessError, match=r"(?s)cannot load someone/Toy \(main\) from the hub.*--data mini"):
        open_dataset(toy(), "hub")
    with pytest.raises(HarnessError, match="TSV file only, not on the hub"):
        open_dataset(toy(hub=HubSet("")), "hub")


# ---------------------------------------------------------------- folder and mini


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/a.png").write_bytes(png(1))
    lines: list[dict[str, Any]] = [
        {"index": 1, "image": "a.png", "question": "?", "answer": 14},
        {"index": 2, "image": ["a.png", "a.png"], "question": "?", "A": "x", "B": None, "answer": "A"},
    ]
    (tmp_path / "toy/data.jsonl").write_text("\n\n".join(map(json.dumps, lines)))
    found = open_dataset(toy(), tmp_path)
    assert (found[0].answer, found[1].choices, len(found[1].images)) == ("14", {"A": "x"}, 2)
    assert found.edition == "toy/data.jsonl"
    assert open_dataset(toy(), tmp_path / "toy").sha256 == found.sha256


def drawn(split: str, size: int | None, seed: int) -> Iterator[dict[str, Any]]:
    for n in range(size or 4):
        image = png(n) if n % 2 else [png(n), png(100)]
        yield {"index": n, "question": split, "answer": seed, "image": image, "target": f"t{n}"}


def test_mini_is_drawn_once_and_has_splits_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    task = toy(mini=f"{__name__}:drawn")
    found = open_dataset(task)
    assert (len(found), found.edition, found[0].answer, len(found[0].images)) == (4, "mini", "0", 2)
    assert found.row(3)["target"] == "t3"  # columns that the task does not read are there for trainers
    train = open_dataset(task, split="train", size=7)
    assert (len(train), train.edition, train[0].question) == (7, "mini train", "train")
    assert open_dataset(task, "mini:validation").edition == "mini validation"
    monkeypatch.setitem(globals(), "drawn", None)
    assert open_dataset(task).sha256 == found.sha256
    with pytest.raises(HarnessError, match="no split 'dev'"):
        open_dataset(task, "mini:dev")
    with pytest.raises(HarnessError, match="only mini"):
        open_dataset(task, os.curdir, split="train")


def test_a_folder_without_data_of_the_task_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"(?s)TOY\.tsv.*Toy/data/test-\*\.parquet.*toy/data\.jsonl"):
        open_dataset(toy(), tmp_path)
    with pytest.raises(HarnessError, match="there is no data at"):
        open_dataset(toy(), tmp_path / "nowhere")
    with pytest.raises(HarnessError, match="no mini edition"):
        open_dataset(toy())
