"""Files that attack: large pictures, archives that unpack without end, YAML that is code, databases with triggers."""

import base64
import sqlite3
import zipfile

import openpyxl
import pytest
from test_data_bad import TOY, good, huge_png, tsv

from harness.api import HarnessError
from harness.data import open_dataset
from harness.data.images import check_image
from harness.data.imports import read
from harness.store import Store, load_run
from harness.suites import load_suites
from trainers.recipe_file import load_recipe

LIMIT = "MASTERS_HARNESS_MAX_MEGAPIXELS"


def test_a_hundred_megapixels_are_refused_and_the_sentence_says_how_to_allow_them(tmp_path, monkeypatch):
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    folder = tsv(tmp_path, good(1), f"2\t{base64.b64encode(huge_png(10_000, 10_000)).decode()}\t?\tA\tx\ty")
    with pytest.raises(HarnessError, match=rf"row 2 .*64 megapixels; if you trust it, export {LIMIT}=N"):
        open_dataset(TOY, folder)
    assert open_dataset(TOY, folder, skip_bad_rows=True).skipped == 1
    monkeypatch.setenv(LIMIT, "101")
    assert len(open_dataset(TOY, folder)) == 2


@pytest.mark.parametrize("value", ["many", "0", "-3", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv(LIMIT, value)
    with pytest.raises(HarnessError, match=LIMIT):
        check_image(huge_png(8, 8))


RUNS = '!!python/object/apply:os.system ["touch {}"]'


@pytest.mark.parametrize("reader", [load_recipe, load_suites])
def test_yaml_never_makes_objects(tmp_path, reader):
    file, touched = tmp_path / "x.yaml", tmp_path / "touched"
    for text in (RUNS.format(touched), f"name: {RUNS.format(touched)}"):
        file.write_text(text)
        with pytest.raises(HarnessError):
            reader(file)
    assert not touched.exists()


def sheet(path, unpacked):
    """An xlsx whose sheet unpacks to so many bytes."""
    book = openpyxl.Workbook()
    book.active.append(["index", "prediction"])
    book.save(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/more.xml", "w") as part:
        for _ in range(unpacked >> 20):
            part.write(bytes(1 << 20))
    return path


def test_an_archive_that_unpacks_without_end_is_refused_by_its_index(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.data.imports.vlmevalkit._MAX_UNPACKED", 20 << 20)
    bomb = sheet(tmp_path / "m_MMStar.xlsx", 30 << 20)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(HarnessError, match="unpacks to 30 MB, more than 20"):
        list(read("vlmevalkit", bomb))


def test_members_that_climb_out_of_the_archive_write_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    path = sheet(tmp_path / "a" / "m_MMStar.xlsx", 0)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../climbed", "x")
        archive.writestr("/tmp/climbed-absolute", "x")
    list(read("vlmevalkit", path))
    assert not list(tmp_path.rglob("climbed*"))


LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(12))
    + "]>"
)


@pytest.mark.parametrize("declared", [LAUGHS, '<!DOCTYPE x [<!ENTITY m SYSTEM "file:///etc/passwd">]>'])
def test_xml_entities_are_neither_unfolded_nor_fetched(tmp_path, declared):
    path = sheet(tmp_path / "m_MMStar.xlsx", 0)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in parts if "sheet1" in name)
    body = parts[name].decode().replace("prediction", "&m;").partition("?>")
    parts[name] = (declared + (body[2] or body[0])).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for part, data in parts.items():
            archive.writestr(part, data)
    try:
        found = str(list(read("vlmevalkit", path)))
    except HarnessError as error:
        found = error.message
    assert "root:" not in found
    assert len(found) < 10_000


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 100_000, "\x00", "{"])
def test_json_that_is_none_or_too_deep_is_a_sentence(tmp_path, text):
    for form, name in (("mathvista", "output.json"), ("mmmu-pro", "x_cot.jsonl"), ("lmms-eval", "a_samples_b.jsonl")):
        file = tmp_path / name
        file.write_text(text)
        with pytest.raises(HarnessError):
            list(read(form, file))


@pytest.mark.parametrize(
    "hostile",
    ["CREATE VIEW seen AS SELECT 1", "CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM responses; END"],
)
def test_a_run_with_a_view_or_trigger_is_refused(tmp_path, hostile):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "run.sqlite") as db:
        db.execute(hostile)
    with pytest.raises(HarnessError, match="holds a view or a trigger"):
        load_run(tmp_path)
    with pytest.raises(HarnessError, match="holds a view or a trigger"):
        Store(tmp_path)


@pytest.mark.parametrize("text", ["__import__('os').system('touch {}')", "[].__class__.__base__.__subclasses__()"])
def test_cells_are_never_evaluated(tmp_path, monkeypatch, text):
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    touched = tmp_path / "touched"
    row = good(1).replace("\tx\ty", f"\t[{text.format(touched)}]\ty")
    assert len(open_dataset(TOY, tsv(tmp_path, row))) == 1
    assert not touched.exists()
