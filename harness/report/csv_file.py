"""A CSV file that is replaced whole and to which processes may add rows at the same time."""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.api import HarnessError

Row = Mapping[str, str]


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all. Raises HarnessError where the folder cannot be written."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise HarnessError(f"cannot write {path}: {error.strerror}", "free space or choose another file") from error


def as_csv(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """The rows as CSV text; a column that a row lacks is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def merge(
    path: Path, key: Sequence[str], columns: Sequence[str], rows: Sequence[Row],
    replaced: Callable[[Sequence[str]], set[str]],
) -> None:  # fmt: skip
    """Put rows into the file: one with the same values of `key` is replaced in its place, new ones follow.

    Of a replaced row the columns that `replaced(header)` does not name are kept: they are the user's own. Columns that
    the file lacks are added at the end of its header. Raises HarnessError if the file is not such a table.
    """
    with _folder_lock(path.parent):
        header, old = _read(path, key) if path.exists() and path.stat().st_size else (list(columns), [])
        kept = {tuple(row[name] for name in key): row for row in old}
        gone = replaced(header)
        for row in rows:
            place = tuple(row[name] for name in key)
            own = {name: value for name, value in kept.get(place, {}).items() if name not in gone}
            kept[place] = own | dict(row)
        header += [name for name in columns if name not in header]
        write_text(path, as_csv(header, list(kept.values())))


def _read(path: Path, key: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    remedy = "name another file, or repair this one"
    try:
        lines = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), restval=None, strict=True)
        header = list(lines.fieldnames or ())
        rows = list(lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise HarnessError(f"{path} is not a CSV file: {error}", remedy) from error
    missing = [name for name in key if name not in header]
    if missing or len(set(header)) < len(header):
        wrong = f"it has no column {missing[0]!r}" if missing else "a column name stands twice in its header"
        raise HarnessError(f"{path} is not a leaderboard: {wrong}", remedy)
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise HarnessError(f"{path}, row {number}: not as many cells as the header has columns", remedy)
    return header, rows


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Wait for other processes that merge into a file of this folder; the folder itself is locked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise HarnessError(f"cannot open the folder {folder}: {error.strerror}", "check the path") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
