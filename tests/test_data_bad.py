"""Bad and hostile data: an error that names file and row, or a count; nothing climbs out, nothing explodes."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.api import HarnessError, HubSet, Row, Sample, Task, TsvFile
from harness.data import open_dataset, open_questions
from harness.data.images import check_image
from harness.data.schema import cell, images, letter_choices, text


def from_tsv(row: Row) -> Sample:
    choices, answer = letter_choices(row), text(row, "answer")
    if choices and answer not in choices:
        raise ValueError(f"the answer {answer!r} is not a choice ({', '.join(choices)})")
    return Sample(str(cell(row, "index")), text(row, "question"), answer, images(row), choices)


TOY = Task("toy", "Toy", TsvFile("TOY"), HubSet("someone/Toy"), from_tsv, from_tsv, {})


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))


def encoded(kind: str = "PNG", side: int = 24) -> bytes:
    out = io.BytesIO()
    PIL.Image.radial_gradient("L").resize((side, side)).save(out, kind)
    return out.getvalue()


GOOD = base64.b64encode(encoded()).decode()
HEADER = "index\timage\tquestion\tanswer\tA\tB"


def tsv(folder: Path, *rows: str, header: str = HEADER) -> Path:
    (folder / "TOY.tsv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def good(index: object) -> str:
    return f"{index}\t{GOOD}\t?\tA\tx\ty"


BAD_ROWS = {
    "damaged base64": (f"2\t{'!' + GOOD[1:]}\t?\tA\tx\ty", "base64 is damaged"),
    "truncated base64": (f"2\t{GOOD[:201]}\t?\tA\tx\ty", "base64 is cut off"),
    "truncated PNG": (f"2\t{GOOD[:200]}\t?\tA\tx\ty", "cannot be decoded"),
    "truncated JPEG": (f"2\t{base64.b64encode(encoded('JPEG', 400)[:-900]).decode()}\t?\tA\tx\ty", "cannot be decoded"),
    "no image at all": (f"2\t{base64.b64encode(b'not an image ' * 9).decode()}\t?\tA\tx\ty", "the format is unknown"),
    "empty image cell": ("2\t\t?\tA\tx\ty", "there is no image"),
    "NaN image": ("2\tnan\t?\tA\tx\ty", "there is no image"),
    "index of no row": ("2\t77\t?\tA\tx\ty", "'77' is neither base64 nor the index of a row"),
    "index of itself": ("2\t2\t?\tA\tx\ty", "'2' is neither base64 nor the index of a row"),
    "cut list": (f"2\t['{GOOD}\t?\tA\tx\ty", "list of images is empty, cut off or damaged"),
    "list that is code": (f"2\t[__import__('os').system('false'), '{GOOD}']\t?\tA\tx\ty", "list of images"),
    "deep list": (f"2\t{'[' * 9999}\t?\tA\tx\ty", "list of images"),
    "duplicate index": (good(1), "index '1' is a duplicate: row 1 has it too"),
    "answer is no choice": (f"2\t{GOOD}\t?\tE\tx\ty", "the answer 'E' is not a choice"),
    "empty answer": (f"2\t{GOOD}\t?\t\tx\ty", "the column 'answer' is empty"),
    "missing cells": (f"2\t{GOOD}\t?", "3 cells where the header has 6 columns"),
    "stray tab": (f"2\t{GOOD}\t?\tA\tx\ty\tz", "7 cells where the header has 6 columns"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named_or_counted(tmp_path: Path, name: str) -> None:
    row, reason = BAD_ROWS[name]
    folder = tsv(tmp_path, good(1), row, good(3))
    with pytest.raises(HarnessError) as caught:
        open_dataset(TOY, folder)
    assert f"{folder / 'TOY.tsv'}: row 2 (index " in caught.value.message
    assert reason in caught.value.message
    assert "--skip-bad-rows" in caught.value.remedy
    found = open_dataset(TOY, folder, skip_bad_rows=True)
    assert [sample.id for sample in found] == ["1", "3"]
    assert (found.skipped, found.edition) == (1, "TOY.tsv (2 of 3 rows)")
    assert reason in found.skipped_reasons[0]
    with pytest.raises(HarnessError, match="row 2"):  # a kept conversion does not hide what was skipped
        open_dataset(TOY, folder)


def test_the_first_bad_row_is_shown_with_the_number_of_others(tmp_path: Path) -> None:
    folder = tsv(tmp_path, good(1), *(f"{n}\t{GOOD}\t?\tE\tx\ty" for n in range(2, 6)), "6\t\t?\tA\tx\ty")
    with pytest.raises(HarnessError, match=r"row 2 \(index 2\).*\(4 more bad rows of 6\)"):
        open_dataset(TOY, folder)


def test_a_repaired_file_is_read_anew(tmp_path: Path) -> None:
    tsv(tmp_path, good(1), "2\t\t?\tA\tx\ty")
    assert open_dataset(TOY, tmp_path, skip_bad_rows=True).skipped == 1
    assert open_dataset(TOY, tsv(tmp_path, good(1), good(2))).skipped == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (HEADER.encode(), "no data row"),
        (b"index\tquestion\n1\tx\n", "no column image"),
        (b"image\tquestion\nx\tx\n", "no column index"),
        (b"index\timage\timage\n", "two columns 'image'"),
        (HEADER.encode() + b"\n1\t\xff\xfe\t?\tA\tx\ty\n", "not UTF-8"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "TOY.tsv"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_even_when_bad_rows_are_skipped(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "TOY.tsv").write_bytes(content)
    with pytest.raises(HarnessError, match=reason) as caught:
        open_dataset(TOY, tmp_path, skip_bad_rows=True)
    assert caught.value.remedy


def test_a_file_of_nothing_but_bad_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"none of the 1 rows.*there is no image"):
        open_dataset(TOY, tsv(tmp_path, "2\t\t?\tA\tx\ty"), skip_bad_rows=True)


def test_a_missing_column_names_the_columns_there_are(tmp_path: Path) -> None:
    folder = tsv(tmp_path, f"1\t{GOOD}\t?", header="index\timage\tquestion")
    with pytest.raises(HarnessError, match=r"row 1.*'answer' is missing.*question"):
        open_dataset(TOY, folder)


def test_an_unclosed_quotation_mark_does_not_swallow_the_file_quietly(tmp_path: Path) -> None:
    folder = tsv(tmp_path, good(1), f'2\t{GOOD}\t"never closed\tA\tx\ty', good(3), good(4))
    with pytest.raises(HarnessError, match=r"row 2 .*3 cells where the header has 6"):
        open_dataset(TOY, folder)


def test_damaged_parquet_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "bad.parquet"
    file.write_bytes(b"PAR1" + os.urandom(200) + b"PAR1")
    with pytest.raises(HarnessError, match=r"bad\.parquet.*cannot be read as parquet"):
        open_questions(file)


# ---------------------------------------------------------------- images that attack


def huge_png(width: int, height: int) -> bytes:
    """A small file whose header promises many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(width // 8 + 1) * min(height, 5000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("size", "reason"),
    [((10_000, 10_000), "10000 x 10000 pixels.*64 megapixels"), ((60_000, 60_000), "decompression bomb")],
)
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int], reason: str) -> None:
    folder = tsv(tmp_path, good(1), f"2\t{base64.b64encode(huge_png(*size)).decode()}\t?\tA\tx\ty")
    with pytest.raises(HarnessError, match=f"row 2 .*{reason}"):
        open_dataset(TOY, folder)


def test_a_compressed_text_bomb_inside_a_png_is_refused() -> None:
    body = b"k\0\0" + zlib.compress(bytes(64 * 2**20), 9)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    plain = encoded()
    with pytest.raises(ValueError, match="cannot be decoded"):
        check_image(plain[:33] + chunk + plain[33:])


def test_formats_that_run_programs_are_unknown() -> None:
    with pytest.raises(ValueError, match="the format is unknown"):
        check_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(%pipe%false) (w) file\n")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]), st.data())
def test_no_damage_escapes_as_another_exception(kind: str, draw: st.DataObject) -> None:
    data = bytearray(encoded(kind))
    for _ in range(draw.draw(st.integers(1, 8))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    damaged = bytes(data[: draw.draw(st.integers(0, len(data)))])
    with contextlib.suppress(ValueError):
        check_image(damaged)


# ---------------------------------------------------------------- names that climb

Make = Callable[[Path], str]
CLIMB: dict[str, Make] = {
    "parent": lambda outside: f"../{outside.name}",
    "hidden parent": lambda outside: f"x/../../{outside.name}",
    "absolute": str,
    "link": lambda outside: "link.png",
    "through a linked folder": lambda outside: f"linked/{outside.name}",
}


@pytest.mark.parametrize("name", CLIMB)
def test_no_image_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    outside, folder = tmp_path / "secret.png", tmp_path / "data"
    outside.write_bytes(encoded())
    folder.mkdir()
    (folder / "link.png").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    stated = CLIMB[name](outside)
    (folder / "data.jsonl").write_text(json.dumps({"index": 1, "image": stated, "question": "?", "answer": "1"}))
    with pytest.raises(HarnessError, match=r"data\.jsonl: row 1 \(index 1\).*leads out of the folder"):
        open_dataset(TOY, folder)
    (folder / "data.jsonl").unlink()
    tsv(folder, f"1\t{stated}\t?\t1", header="index\timage_path\tquestion\tanswer")
    with pytest.raises(HarnessError, match=r"TOY\.tsv: row 1 \(index 1\).*leads out of the folder"):
        open_dataset(TOY, folder)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("nul\0byte.png", "NUL"),
        ("absent.png", "cannot be read"),
        ("pipe", "not a regular file"),
        (".", "not a regular file"),
        ("x" * 5000, "cannot be read"),
        (None, "must be a file name"),
        ([], "no image in the columns"),
        ([["a.png"]], "must be a file name"),
        ({"bytes": 1}, "must be a file name"),
        (7, "must be a file name"),
    ],
)
def test_image_names_that_are_no_files(tmp_path: Path, image: Any, reason: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "data.jsonl").write_text(json.dumps({"index": 1, "image": image, "question": "?", "answer": "1"}))
    with pytest.raises(HarnessError, match=f"row 1 .*{reason}"):
        open_dataset(TOY, tmp_path)


@pytest.mark.parametrize(
    "name", ["-rf *.png", "$(touch x).png", "a\nb.png", "图 ü.png", "\x1b[31mred.png", os.fsdecode(b"\xff.png")]
)
def test_strange_names_inside_the_folder_are_just_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name.removesuffix(".png")
    folder.mkdir()
    (folder / name).write_bytes(encoded())
    (folder / "data.jsonl").write_text(json.dumps({"index": 1, "image": name, "question": "?", "answer": "1"}))
    assert open_dataset(TOY, folder)[0].images[0].read() == encoded()


@pytest.mark.parametrize("line", ["{", "[1]", "7", '"x"', "\x00", "[" * 99999, '{"index": NaN}', "{}"])
def test_jsonl_lines_that_are_no_rows(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.png").write_bytes(encoded())
    fine = json.dumps({"index": 1, "image": "a.png", "question": "?", "answer": "1"})
    (tmp_path / "data.jsonl").write_text(f"{fine}\n{line}\n")
    with pytest.raises(HarnessError, match=r"data\.jsonl: row 2"):
        open_dataset(TOY, tmp_path)
    assert len(open_dataset(TOY, tmp_path, skip_bad_rows=True)) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_arbitrary_bytes_as_a_tsv_never_crash(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "TOY.tsv").write_bytes(HEADER.encode() + b"\n" + content)
    with pytest.raises(HarnessError):
        open_dataset(TOY, tmp_path)
