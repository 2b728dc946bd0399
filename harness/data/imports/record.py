"""What every reader yields, and reading JSON with errors that name the place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.api import HarnessError, Response, Row


@dataclass(frozen=True)
class Record:
    """One stored response.

    `ids` are the names under which a data set may know the item (`position`: its place there, where the file has no
    name). `row` is what the file says of the item, in the `schema` of the task's from_tsv or from_hub; None if it
    says nothing. `stand_in` marks a row whose texts are not in the file. `judged` is what upstream's judge answered,
    by purpose (`extract`, `grade`, `match`). `target` is the gold as the file states it, to check the item by.
    `foreign` marks a record of a kind that is never an item of the task (a video among images). `first_wins`: published
    files of this format repeat items, and the first response is the one that counts.
    """

    where: str
    ids: tuple[str, ...]
    response: Response
    row: Row | None = None
    schema: Literal["tsv", "hub"] = "tsv"
    stand_in: bool = False
    judged: Mapping[str, str] = field(default_factory=dict)
    position: int | None = None
    target: str = ""
    foreign: bool = False
    first_wins: bool = False


def load_json(path: Path) -> Any:
    """The value of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HarnessError(f"cannot read {path}: {error.strerror}", "check the path") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise HarnessError(f"{path} is not JSON: {error}", "check that the format belongs to the file") from error


def load_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of a file with a JSON object a line; a comma at the end of a line is allowed."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise HarnessError(f"cannot read {path}: {error.strerror}", "name the file") from error
    except UnicodeDecodeError as error:
        raise HarnessError(f"{path} is not text: {error}", "check that the format belongs to the file") from error
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        stated = line.strip().removesuffix(",")
        if not stated:
            continue
        try:
            yield where, as_object(where, json.loads(stated))
        except (json.JSONDecodeError, RecursionError) as error:
            raise HarnessError(f"{where} is not JSON: {error}", "check that the format belongs to the file") from error


def as_object(where: str, value: Any) -> dict[str, Any]:
    """The value, if it is a JSON object."""
    if not isinstance(value, dict):
        raise HarnessError(f"{where}: not a JSON object", "check that the format belongs to the file")
    return value


def as_list(where: str, value: Any) -> list[Any]:
    """The value, if it is a JSON list."""
    if not isinstance(value, list):
        raise HarnessError(f"{where}: not a JSON list", "check that the format belongs to the file")
    return value


def need(where: str, entry: Mapping[str, Any], *names: str) -> list[Any]:
    """The named fields of an entry; HarnessError for one that is missing."""
    for name in names:
        if name not in entry:
            has = ", ".join(map(str, entry)) or "none"
            raise HarnessError(
                f"{where}: the field {name!r} is missing (there are {has})", "check that the format belongs to the file"
            )
    return [entry[name] for name in names]


def said(text: Any) -> Response:
    """A stored response text; None and a number that some frameworks write for nothing are the empty response."""
    if text is None or (isinstance(text, float) and text != text):
        return Response("")
    # JSON may hold lone surrogates, which no UTF-8 store can keep.
    return Response(str(text).encode("utf-8", "replace").decode("utf-8"))
