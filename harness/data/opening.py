"""Finding the data of a task: mini, hub, a folder or a file."""

from __future__ import annotations

from pathlib import Path
from string import ascii_uppercase

from harness.api import HarnessError, Row, Sample, Task
from harness.data.cache import entry_of
from harness.data.convert import Manifest
from harness.data.dataset import Dataset
from harness.data.folder import FolderSource
from harness.data.hub import HubSource
from harness.data.mini import MiniSource
from harness.data.parquet import ParquetSource, parquet_files
from harness.data.rows import Build, Source
from harness.data.schema import cell, images, is_missing, text, text_list
from harness.data.tsv import TsvSource

_JSONL = "data.jsonl"


def open_dataset(
    task: Task,
    data: str | Path = "mini",
    *,
    split: str = "test",
    size: int | None = None,
    limit: int | None = None,
    skip_bad_rows: bool = False,
) -> Dataset:
    """The samples of a task from `data`: "mini", "mini:validation", "hub", a folder, or one file of it.

    A folder holds `<TSV name>.tsv` (VLMEvalKit), `<repository>/<config>/<split>-*.parquet` (Hugging Face),
    `<task>/data.jsonl` or `data.jsonl`; the first that is found is used. `split` and `size` choose among the items of
    mini, which alone has validation and train splits. `limit` keeps the first samples. Everything is decoded and
    checked when a source is seen for the first time; any bad row is a HarnessError, unless `skip_bad_rows` counts it.
    """
    if task.prepare is not None:
        data = task.prepare(str(data))
    edition, _, named = str(data).partition(":")
    if edition == "mini":
        chosen = MiniSource.of(task, named or split, size)
        return _opened(chosen, task.name, task.from_tsv, limit, skip_bad_rows)
    if split != "test" or size is not None:
        raise HarnessError(
            f"split {split!r} of size {size} is asked of {data}, but only mini draws splits of any size",
            "leave split and size out, or use --data mini",
        )
    if data == "hub":
        if not task.hub.repo:
            raise HarnessError(
                f"{task.title} is published as a TSV file only, not on the hub",
                f"download {task.tsv.name}.tsv and use --data FOLDER, or leave the task out",
            )
        return _opened(HubSource.of(task.hub), task.name, task.from_hub, limit, skip_bad_rows)
    source = _located(task, Path(data))
    build = task.from_hub if isinstance(source, ParquetSource) else task.from_tsv
    return _opened(source, task.name, build, limit, skip_bad_rows)


def open_questions(path: str | Path, *, limit: int | None = None, skip_bad_rows: bool = False) -> Dataset:
    """Training questions from a parquet file, or from all parquet files of a folder, in the order of their names.

    Columns: question, answer, image (struct{bytes, path}, binary, or a list of them), [id], [choices: a list of
    texts]. With choices the answer is the text or the letter of one of them; `meta["letter"]` is its letter.
    """
    path = Path(path)
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise HarnessError(f"there is no parquet file at {path}", "name a .parquet file or a folder of them")
    source = ParquetSource(tuple(files), path.name)
    return _opened(source, path.stem, question_sample, limit, skip_bad_rows)


def question_sample(row: Row) -> Sample:
    """A row of a training file (see open_questions) as a sample."""
    name = str(cell(row, "id" if "id" in row else "index"))
    answer = text(row, "answer")
    options = [] if is_missing(row.get("choices")) else text_list(row, "choices")
    choices = dict(zip(ascii_uppercase, options, strict=False))
    meta: dict[str, str] = {}
    if choices:
        letters = [letter for letter, option in choices.items() if option == answer]
        if not letters and answer not in choices:
            raise ValueError(f"the answer {answer!r} is neither the text nor the letter of a choice")
        meta["letter"] = (letters or [answer])[0]
    return Sample(name, text(row, "question"), answer, images(row), choices, meta)


def _opened(source: Source, task: str, build: Build, limit: int | None, skip_bad_rows: bool) -> Dataset:
    if limit is not None and limit < 1:
        raise HarnessError(f"a limit of {limit} leaves no sample", "ask for at least one")
    entry, manifest = entry_of(source, task, build, keep_bad=skip_bad_rows)
    if manifest.bad and not skip_bad_rows:
        raise _bad_rows(manifest)
    dataset = _read(entry, manifest, task, build, limit)
    if not len(dataset):
        reason = f"; {manifest.bad[0]}" if manifest.bad else ""
        raise HarnessError(
            f"none of the {manifest.rows} rows of {manifest.label} is an item of {task}{reason}",
            "check that the file belongs to the task",
        )
    return dataset


def _read(entry: Path, manifest: Manifest, task: str, build: Build, limit: int | None) -> Dataset:
    import pyarrow as pa

    try:
        return Dataset(entry, manifest, task, build, limit)
    except (OSError, pa.ArrowException) as error:
        raise HarnessError(f"{entry} is damaged: {error}", "delete this folder; it is made again") from error


def _bad_rows(manifest: Manifest) -> HarnessError:
    more = len(manifest.bad) - 1
    also = f" ({more} more bad row{'s' * (more > 1)} of {manifest.rows})" if more else ""
    return HarnessError(
        f"{manifest.bad[0]}{also}",
        "repair or download the file again; --skip-bad-rows leaves bad rows out and shows their number",
    )


def _located(task: Task, path: Path) -> Source:
    """The first source of the task at the path."""
    if path.is_file():
        return _file(task, path)
    if not path.is_dir():
        raise HarnessError(f"there is no data at {path}", "use --data mini, --data hub, or an existing folder or file")
    tsv = path / f"{task.tsv.name}.tsv"
    if tsv.is_file():
        return TsvSource.of(tsv, task.tsv)
    shards, patterns = parquet_files(path, task.hub)
    if shards:
        return ParquetSource(tuple(shards), shards[0].parent.relative_to(path).as_posix(), task.hub.rows)
    lines = [path / task.name / _JSONL, path / _JSONL]
    for file in lines:
        if file.is_file():
            return FolderSource(file)
    looked = "\n    ".join(map(str, [tsv, *dict.fromkeys(patterns), *lines]))
    raise HarnessError(
        f"{path} has no data for the task {task.name}; looked for\n    {looked}",
        "put one of these there, leave the task out, or use --data mini or --data hub",
    )


def _file(task: Task, path: Path) -> Source:
    match path.suffix:
        case ".tsv":
            return TsvSource.of(path, task.tsv)
        case ".parquet":
            return ParquetSource((path,), path.name, task.hub.rows)
        case ".jsonl":
            return FolderSource(path)
    raise HarnessError(f"{path} is no kind of data file", "name a .tsv, .parquet or .jsonl file, or a folder")
