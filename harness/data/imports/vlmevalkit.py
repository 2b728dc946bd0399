"""VLMEvalKit tables: <model>_<DATASET>.xlsx or .tsv, the columns of the data set plus `prediction`."""

from __future__ import annotations

import csv
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal
from zipfile import BadZipFile, ZipFile

from harness.api import HarnessError, Response
from harness.data.imports.record import Record, said
from harness.data.schema import LOST_OPTION, is_missing

# What VLMEvalKit writes in place of a response when its API call failed.
_FAILED = "Failed to obtain answer via API"
# Columns in which its evaluation keeps what the judge answered.
_LETTERS = tuple(ascii_uppercase)
_MAX_UNPACKED = 2 << 30  # bytes of an xlsx file's parts: a small file may unpack to any size
_JUDGED = {"score": "grade", "res": "extract"}


def read(path: Path) -> Iterator[Record]:
    """Rows of the data set's TSV schema; the scored tables' columns `score` and `res` are the judge's answers."""
    for where, row in rows(path):
        if "prediction" not in row:
            raise HarnessError(
                f"{path} has no column 'prediction' (there are {', '.join(row)})", "import the table of predictions"
            )
        if is_missing(row.get("index")):
            raise HarnessError(f"{where}: the column 'index' is missing or empty", "import the table of predictions")
        if "Rolling" in (row.get("log") or ""):
            raise HarnessError(
                f"{where}: the scored table of a circular benchmark keeps one pass of each question only",
                f"import the table of predictions, {path.name.replace('_openai_result', '')}",
            )
        response = said(row.pop("prediction"))
        if _FAILED in response.text:
            response = Response("", "error", error=_FAILED)
        judged = {purpose: row[name] for name, purpose in _JUDGED.items() if not is_missing(row.get(name))}
        gold = row.get("answer") or ""
        # MMStar's older tables hold the question as the hub does, with its options in it.
        schema: Literal["tsv", "hub"] = "hub" if "bench" in row and "A" not in row else "tsv"
        yield Record(where, (row["index"],), response, row, schema, judged=judged, target=gold)


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, column -> text or None) of a table."""
    for where, row in _cells(path):
        gold = row.get("answer")
        if gold in _LETTERS and "A" in row and is_missing(row.get(gold)):
            row[gold] = LOST_OPTION
        yield where, row


def _cells(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.suffix == ".xlsx":
        return _xlsx(path)
    if path.suffix in (".tsv", ".csv"):
        return _separated(path, "\t" if path.suffix == ".tsv" else ",")
    raise HarnessError(f"{path} is neither .xlsx nor .tsv", "name a table that VLMEvalKit wrote (pickles are not read)")


def _xlsx(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        import openpyxl
    except ImportError as error:
        raise HarnessError("reading .xlsx needs openpyxl", "pip install openpyxl") from error
    from openpyxl.utils.exceptions import InvalidFileException

    damaged = (
        OSError, BadZipFile, InvalidFileException, KeyError, ValueError, SyntaxError, TypeError, AttributeError,
        IndexError, EOFError, RuntimeError, zlib.error,
    )  # fmt: skip
    try:
        with ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > _MAX_UNPACKED:
            raise ValueError(f"it unpacks to {unpacked >> 20} MB, more than {_MAX_UNPACKED >> 20}: convert it to .tsv")
        lines = openpyxl.load_workbook(path, read_only=True, data_only=True).active.iter_rows(values_only=True)
        header = [None if name is None else str(name) for name in next(lines, ())]
        table = list(lines)
    except damaged as error:
        raise HarnessError(f"{path} cannot be read as xlsx: {error}", "export it again") from error
    for number, values in enumerate(table, 2):
        cells = zip(header, values, strict=False)
        row = {name: None if value is None else str(value) for name, value in cells if name is not None}
        if any(value is not None for value in row.values()):
            yield f"{path}, row {number}", row


def _separated(path: Path, separator: str) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(sys.maxsize)  # a cell may hold an image
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle, delimiter=separator)
            for number, row in enumerate(reader, 2):
                if None in row or None in row.values():
                    raise HarnessError(f"{path}, row {number}: not as many cells as columns", "export the file again")
                yield f"{path}, row {number}", dict(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HarnessError(f"{path} cannot be read: {error}", "check that it is a table in UTF-8") from error
