"""A run as one HTML page: a file that works offline, or the page that `harness view` serves.

Everything that a model, a data set or a judge wrote reaches the page as compressed JSON and is put there as text, never
as markup; a Content-Security-Policy with hashes lets no other script run.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness import __version__
from harness.api import HarnessError
from harness.report.samples import Items
from harness.report.summary import summarise_run

_MEGABYTE = 1_000_000
_SCRIPTS = ("data.js", "figures.js", "charts.js", "tables.js", "training.js", "browser.js", "page.js")
_PAGE = files("harness.report") / "page"

Pairs = Sequence[tuple[str, str]] | None


@dataclass
class Embedded:
    """What of a run's items a file holds: blocks and items by task, images, and why images are missing."""

    blocks: list[int]
    items: list[int]
    images: int = 0
    images_left_out: int = 0
    reasons: list[str] = field(default_factory=list)


def write_report(
    folder: Path, out: Path, *, pairs: Pairs = None, text_mb: float = 30.0, images_mb: float = 20.0
) -> Embedded:  # fmt: skip
    """Write the report of a run as one HTML file, whole or not at all; returns what it holds of the items.

    `text_mb` and `images_mb` bound what items and images add to the file (10**6 bytes); every task gets its share.
    Raises HarnessError for a folder that is no run or has no finished task, and where the file cannot be written.
    """
    items = Items(folder)
    summary = summarise_run(items, pairs)
    embedded = Embedded([0] * len(items.tasks), [0] * len(items.tasks))
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            parts = _parts(items, embedded, text_mb * _MEGABYTE, images_mb * _MEGABYTE)
            file.writelines(_render(summary, parts, served=False))
        part.replace(out)
    except OSError as error:
        raise HarnessError(f"cannot write {out}: {error.strerror}", "choose another place with --out") from error
    return embedded


def served_page(items: Items) -> tuple[str, str]:
    """The page that loads its items from a server, and its Content-Security-Policy."""
    return "".join(_render(summarise_run(items, None), iter(()), served=True)), policy(served=True)


def policy(*, served: bool) -> str:
    """The Content-Security-Policy: the page's own scripts and styles by hash, images and data from nowhere else."""
    scripts = " ".join(map(_hash, (_script(), _plotly())))
    own = "'self'" if served else ""
    rules = {
        "default-src": "'none'",
        "script-src": scripts,
        "style-src-elem": " ".join(map(_hash, (_text("page.css"), *_library_styles()))),
        "style-src-attr": "'unsafe-inline'",  # the plot library places its labels with style attributes
        "img-src": f"data: {own}".strip(),
        "connect-src": own or "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


# ---------------------------------------------------------------- the page


def _render(summary: dict[str, Any], parts: Iterator[tuple[str, str]], *, served: bool) -> Iterator[str]:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html").generate(
        summary=summary, version=__version__, served=served, policy=policy(served=served),
        style=Markup(_text("page.css")), script=Markup(_script()),  # noqa: S704 (our own files, no other text)
        parts=itertools.chain([("plotly", _packed(_plotly())), ("summary", _json(summary))], parts),
    )  # fmt: skip


def _text(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _script() -> str:
    """The page's own scripts as one, in a scope of their own."""
    return '"use strict";(() => {\n' + "\n".join(map(_text, _SCRIPTS)) + "\n})();"


@cache
def _plotly() -> str:
    """The plot library's script, read from its package without importing it."""
    package = find_spec("plotly")
    if package is None or package.origin is None:
        raise HarnessError("the package plotly is missing", "pip install plotly")
    return (Path(package.origin).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _library_styles() -> list[str]:
    """The style elements that the plot library makes: an empty one, which it fills by rules, and fixed ones."""
    fixed = re.findall(r"""createElement\("style"\);[^']{0,120}textContent='([^'\\]+)'""", _plotly())
    return ["", *fixed]


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _packed(text: str) -> str:
    """Text as base64 of gzip: a third of the size, and no character of it means anything to HTML.

    Level 5 of 9 takes half the time for one per cent more.
    """
    return base64.b64encode(gzip.compress(text.encode(), 5, mtime=0)).decode()


def _json(value: Any) -> str:
    return _packed(json.dumps(value, allow_nan=False, separators=(",", ":")))


# ---------------------------------------------------------------- items inside the file


def _parts(items: Items, embedded: Embedded, text_bytes: float, image_bytes: float) -> Iterator[tuple[str, str]]:
    """Name and packed text of every part that the file holds; what it holds of all is the last one."""
    tasks = range(len(items.tasks))
    for task in tasks:
        yield f"ids/{task}", _json(items.part(f"ids/{task}"))
        for cell in items.cells(task):
            yield f"index/{cell}", _json(items.part(f"index/{cell}"))
    images: list[list[str]] = [[] for _ in tasks]
    left = text_bytes
    for block in range(max(map(items.blocks, tasks))):
        for task in (task for task in tasks if block < items.blocks(task)):
            names = [f"samples/{task}/{block}", *(f"answers/{cell}/{block}" for cell in items.cells(task))]
            packed = [_json(items.part(name)) for name in names]
            left -= sum(map(len, packed))
            if left < 0:
                break
            yield from zip(names, packed, strict=True)
            samples = items.part(names[0])
            embedded.blocks[task] += 1
            embedded.items[task] += len(samples)
            images[task] += [sha256 for sample in samples for sha256 in sample[3]]
        if left < 0:
            break
    yield from _images(items, images, embedded, image_bytes)
    yield "embedded", _json({"blocks": embedded.blocks, "items": embedded.items, "images": embedded.images,
                             "left_out": embedded.images_left_out, "reasons": embedded.reasons})  # fmt: skip


def _images(
    items: Items, wanted: Sequence[Sequence[str]], embedded: Embedded, image_bytes: float
) -> Iterator[tuple[str, str]]:
    """Images of the items, one of each task in turn, while they fit."""
    lists = [list(dict.fromkeys(of_task)) for of_task in wanted]
    done: set[str] = set()
    failed: set[int] = set()
    for row in itertools.zip_longest(*lists):
        for task, sha256 in enumerate(row):
            if sha256 is None or sha256 in done:
                continue
            done.add(sha256)
            found = None if task in failed or image_bytes <= 0 else _image(items, task, sha256, embedded, failed)
            if found is None or len(found) > image_bytes:
                embedded.images_left_out += 1
                continue
            image_bytes -= len(found)
            embedded.images += 1
            yield f"image/{sha256}", found


def _image(items: Items, task: int, sha256: str, embedded: Embedded, failed: set[int]) -> str | None:
    """An image as a data URL; a task whose data cannot be opened is said once and left out."""
    try:
        kind, data = items.image(task, sha256)
    except HarnessError as error:
        failed.add(task)
        embedded.reasons.append(f"{items.tasks[task]}: {error}")
        return None
    except KeyError:
        return None  # the data set has changed since the run was made: this image is not in it any more
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
