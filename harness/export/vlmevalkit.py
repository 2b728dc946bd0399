"""VLMEvalKit's tables: predictions that its evaluate scores, and the data set's items that it needs for it."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api import HarnessError, Sample
from harness.export.answers import Answers, file_name, write_whole

_PLAIN = (str, int, float)


def write(cells: Sequence[Answers], out: Path, *, xlsx: bool = False) -> list[Path]:
    """MODEL/MODEL_DATASET.tsv (xlsx if asked for) for each cell; LMUData/DATASET.tsv once for each task.

    LMUData is the folder that VLMEvalKit's evaluate reads the data set from. Its items are those of the run: where they
    are not the whole published set, VLMEvalKit wants to download that (vlmeval-harness local=1 keeps it from it).
    """
    written = []
    for cell in cells:
        name = _dataset(cell)
        rows = [{**_columns(cell, answer.sample), "prediction": answer.response.text} for answer in cell]
        path = out / cell.model / f"{cell.model}_{name}.{'xlsx' if xlsx else 'tsv'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        written.append(_xlsx(path, rows) if xlsx else write_whole(path, _tsv(rows)))
        items = out / "LMUData" / f"{name}.tsv"
        if items not in written:
            written.append(write_whole(items, _tsv(list(_items(cell)))))
    return written


def _dataset(cell: Answers) -> str:
    """VLMEvalKit's name of the data set."""
    bridge, colon, name = cell.result.cell.task.partition(":")
    if colon:
        if bridge == "vlmeval":
            return file_name(name.partition("/")[0])
        raise HarnessError(
            f"VLMEvalKit has no data set for {cell.result.cell.task}",
            "export it to lmms-eval or inspect, or another task",
        )
    return cell.task.tsv.name


def _columns(cell: Answers, sample: Sample) -> dict[str, Any]:
    """The row of the TSV where the data are one, else the same columns of what we know of the item; no image."""
    row: Mapping[str, Any] = cell.row(sample) if cell.data is not None and not _bridged(cell) else {}
    if "index" in row and "question" in row:
        return {name: value for name, value in row.items() if isinstance(value, _PLAIN)}
    meta = {name: value for name, value in sample.meta.items() if isinstance(value, _PLAIN)}
    return {"index": sample.id, "question": sample.question, **sample.choices, "answer": sample.answer, **meta}


def _bridged(cell: Answers) -> bool:
    return ":" in cell.result.cell.task


def _items(cell: Answers) -> Iterator[dict[str, Any]]:
    """The items with their images in base64."""
    for answer in cell:
        encoded = [base64.b64encode(image.read()).decode() for image in cell.whole(answer.sample).images]
        image = encoded[0] if len(encoded) == 1 else str(encoded)
        yield {**_columns(cell, answer.sample), **({"image": image} if encoded else {})}


def _tsv(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    table = csv.DictWriter(out, names, delimiter="\t", lineterminator="\n", restval="")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue()


def _xlsx(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """As VLMEvalKit writes it; control characters, which xlsx cannot hold, are left out."""
    try:
        from openpyxl import Workbook
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    except ImportError as error:
        raise HarnessError("writing .xlsx needs openpyxl", "pip install openpyxl, or leave --xlsx out") from error
    names = list(dict.fromkeys(name for row in rows for name in row))
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(names)
    for row in rows:
        cells = (row.get(name) for name in names)
        sheet.append([ILLEGAL_CHARACTERS_RE.sub("", one) if isinstance(one, str) else one for one in cells])
    book.save(path)
    return path
