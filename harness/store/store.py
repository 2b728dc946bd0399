"""The run's database: SQLite, so that a run killed at any moment is whole up to its last commit."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from harness.api import HarnessError, Image, Response, Sample, State, Unit, Verdict
from harness.store.results import Cell, Result

if TYPE_CHECKING:
    import pandas

VERSION = 1
_FILE = "run.sqlite"
_BATCH, _SMALL_BATCH = 16_384, 512  # rows in memory while a table is read
_DAMAGED = "the file was damaged by something else: restore it from a copy or use a new folder"


class Store:
    """One run folder. Opened for writing by one process at a time; readers may look at any moment."""

    def __init__(self, folder: Path | str, *, write: bool = True) -> None:
        self.folder = Path(folder)
        self._lock: IO[str] | None = None
        if write:
            self._lock = _lock(self.folder)
        elif not (self.folder / _FILE).is_file():
            raise HarnessError(f"{self.folder} is not a run: it has no {_FILE}", "`harness run --out FOLDER` makes one")
        try:
            with self._errors():
                self._db = self._connect(write)
        except HarnessError:
            if self._lock is not None:
                self._lock.close()
            raise

    def _connect(self, write: bool) -> sqlite3.Connection:
        path = self.folder / _FILE
        # A reader of a folder that it cannot write to must not ask SQLite for shared memory beside the file.
        readonly = "?mode=ro" if os.access(self.folder, os.W_OK) else "?mode=ro&immutable=1"
        db = sqlite3.connect(f"{path.absolute().as_uri()}{'' if write else readonly}", uri=True, timeout=30)
        db.execute("PRAGMA trusted_schema = OFF")  # the file may come from somebody else
        if db.execute("SELECT 1 FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchone():
            db.close()
            raise HarnessError(f"{path} holds a view or a trigger, which no run has", "do not use this file")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if write:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
        if version == 0 and write:
            schema = (files("harness.store") / "schema.sql").read_text()
            db.executescript(f"BEGIN;{schema}PRAGMA user_version = {VERSION};COMMIT;")
        elif version != VERSION:
            db.close()
            raise HarnessError(
                f"{path} has store version {version}; this harness reads version {VERSION}",
                "score it with the harness version named in its manifest.json, or run into a new folder",
            )
        return db

    # ------------------------------------------------------------ life cycle

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and let the next process in."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what to do when the disk or the folder refuses; what was committed before stays."""
        try:
            yield
        except sqlite3.Error as error:
            code = error.sqlite_errorname if hasattr(error, "sqlite_errorname") else type(error).__name__
            remedy = {
                "SQLITE_FULL": "free disk space and run the same command again: it resumes",
                "SQLITE_IOERR_WRITE": "look at the disk and the limit of file sizes (ulimit -f); a rerun resumes",
                "SQLITE_IOERR_SHMMAP": "no memory is left: end other programs; a rerun resumes",
                "SQLITE_READONLY": "make the folder writable or choose another with --out",
                "SQLITE_CANTOPEN": "check that the folder exists and is writable, or choose another with --out",
                "SQLITE_NOTADB": _DAMAGED,
                "SQLITE_CORRUPT": _DAMAGED,
            }.get(code, "look at the disk; run the same command again: what was stored is kept")
            raise HarnessError(f"cannot use {self.folder / _FILE}: {error} ({code})", remedy) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """As `_errors`, and for what SQLite cannot see: bytes inside a row that are not what was written."""
        try:
            with self._errors():
                yield
        except (ValueError, TypeError, KeyError) as error:
            raise HarnessError(f"{self.folder / _FILE} holds a row that cannot be read: {error}", _DAMAGED) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._errors(), self._db:
            yield self._db

    # ------------------------------------------------------------ notes

    def set_meta(self, **values: Any) -> None:
        """Keep JSON values by name (the arguments of the run, versions, ...); what is kept already is not written."""
        kept = self.meta()
        rows = [(name, json.dumps(value)) for name, value in values.items()]
        rows = [(name, text) for name, text in rows if name not in kept or json.dumps(kept[name]) != text]
        if not rows:
            return
        with self._writing() as db:
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def meta(self) -> dict[str, Any]:
        """All values kept by `set_meta`."""
        with self._reading():
            return {name: json.loads(value) for name, value in self._db.execute("SELECT name, value FROM meta")}

    def add_usage(self, model: str, counts: Mapping[str, float]) -> None:
        """Add what a model spent (requests, tokens, cost) to what the run has recorded of it."""
        usage = self.meta().get("usage", {})
        before = usage.get(model, {})
        usage[model] = {name: before.get(name, 0) + counts.get(name, 0) for name in {**before, **counts}}
        self.set_meta(usage=usage)

    def frame(self, query: str) -> pandas.DataFrame:
        """The rows of a SELECT as a pandas frame."""
        import pandas

        with self._reading():
            cursor = self._db.execute(query)
            names = [column[0] for column in cursor.description]
            return pandas.DataFrame.from_records(cursor.fetchall(), columns=names)

    def rows(self, query: str) -> tuple[list[str], Iterator[list[tuple[Any, ...]]]]:
        """The column names of a SELECT and its rows, some thousand at a time."""
        with self._errors():
            cursor = self._db.execute(query)
        return [column[0] for column in cursor.description], self._batches(cursor)

    def encoded(self, query: str) -> tuple[list[str], Iterator[list[tuple[Any, ...]]]]:
        """As `rows`, but text is UTF-8, and a batch so small that it stays in the processor's cache."""
        with self._errors():
            cursor = self._db.execute(query)
        return [column[0] for column in cursor.description], self._encoded(cursor)

    def _encoded(self, cursor: sqlite3.Cursor) -> Iterator[list[tuple[Any, ...]]]:
        while True:
            self._db.text_factory = bytes
            try:
                with self._errors():
                    rows = cursor.fetchmany(_SMALL_BATCH)
            finally:
                self._db.text_factory = str
            if not rows:
                return
            yield rows

    def _batches(self, cursor: sqlite3.Cursor) -> Iterator[list[tuple[Any, ...]]]:
        with self._errors():
            while rows := cursor.fetchmany(_BATCH):
                yield rows

    # ------------------------------------------------------------ samples

    def add_samples(self, task: str, samples: Iterable[Sample], of: str = "", part: str = "") -> None:
        """Keep the items' texts, so that a run can be re-scored and read without its data set.

        `of` names their content and `part` which of them these are; a part that is kept already is not read again.
        """
        kept = self.meta().get("samples", {})
        before, parts = kept.get(task, ("", []))
        if of and before == of and part in parts:
            return
        rows = ((task, s.id, s.cluster, _sample_body(s)) for s in samples)
        with self._writing() as db:
            db.executemany("INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?)", rows)
        parts = [*(parts if before == of else []), part] if of else []
        self.set_meta(samples={**kept, task: (of, parts)})

    def samples(self, task: str) -> dict[str, Sample]:
        """The kept items of a task by id; their images know their hash only (the data set has the bytes)."""
        with self._reading():
            cursor = self._db.execute("SELECT id, cluster, body FROM samples WHERE task = ?", (task,))
            found: dict[str, Sample] = {}
            while rows := cursor.fetchmany(_SMALL_BATCH):
                bodies = json.loads(f"[{','.join(body for _, _, body in rows)}]")  # one call is twice as fast
                found.update((id, _sample(id, cluster, b)) for (id, cluster, _), b in zip(rows, bodies, strict=True))
            return found

    # ------------------------------------------------------------ responses

    def add_responses(self, rows: Iterable[tuple[bytes, Response]]) -> None:
        """Keep responses by key in one transaction; a response once kept is never replaced, unless it was an error."""
        packed = [
            (
                key, r.sample_index, _storable(r.text), r.finish, array("I", r.token_ids).tobytes(),
                array("f", r.logprobs).tobytes(), r.prompt_tokens, _storable(r.error),
            )
            for key, r in rows
        ]  # fmt: skip
        with self._writing() as db:
            db.executemany(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET text = excluded.text,"
                " finish = excluded.finish, token_ids = excluded.token_ids, logprobs = excluded.logprobs,"
                " prompt_tokens = excluded.prompt_tokens, error = excluded.error WHERE responses.finish = 'error'",
                packed,
            )

    def responses(self, keys: Sequence[bytes]) -> dict[bytes, Response]:
        """The first response (sample index 0) of each key that has one."""
        found: dict[bytes, Response] = {}
        with self._reading():
            for start in range(0, len(keys), 512):
                some = keys[start : start + 512]
                marks = ",".join("?" * len(some))
                query = f"SELECT * FROM responses WHERE sample_index = 0 AND key IN ({marks})"  # noqa: S608
                for row in self._db.execute(query, some):
                    found[row[0]] = _response(row)
        return found

    def texts(self, keys: Sequence[bytes]) -> dict[bytes, Response]:
        """As `responses`, but only what rules read: text, finish and error."""
        marks = ",".join("?" * len(keys))
        query = f"SELECT key, text, finish, error FROM responses WHERE sample_index = 0 AND key IN ({marks})"  # noqa: S608
        with self._errors():
            return {key: Response(t, finish, error=error) for key, t, finish, error in self._db.execute(query, keys)}

    def answered(self, keys: Sequence[bytes]) -> set[bytes]:
        """Which keys have a response that is not an error; an error is asked again when a run resumes."""
        marks = ",".join("?" * len(keys))
        query = f"SELECT key FROM responses WHERE finish != 'error' AND sample_index = 0 AND key IN ({marks})"  # noqa: S608
        with self._reading():
            return {key for (key,) in self._db.execute(query, keys)}

    # ------------------------------------------------------------ verdicts and results

    def put_result(
        self, result: Result, verdicts: Iterable[tuple[int, str, bytes, Verdict]], units: Sequence[Unit]
    ) -> None:
        """Replace one cell: its verdicts as (position, sample id, response key, verdict), its units, its numbers."""
        with self._writing() as db:
            db.execute("DELETE FROM cells WHERE model = ? AND task = ? AND protocol = ? AND judge = ?", result.cell)
            cell = db.execute(
                "INSERT INTO cells (model, task, protocol, judge, result) VALUES (?, ?, ?, ?, ?)",
                (*result.cell, result.to_json()),
            ).lastrowid
            db.executemany(
                "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (cell, position, id, key, str(v.state), v.score, v.extracted, v.rule, int(v.random), v.note)
                    for position, id, key, v in verdicts
                ),
            )
            db.executemany(
                "INSERT INTO units VALUES (?, ?, ?, ?, ?, ?)",
                ((cell, i, u.id, u.cluster, u.score, u.weight) for i, u in enumerate(units)),
            )

    def results_digest(self) -> str:
        """SHA-256 over all finished cells: it changes whenever one is scored again."""
        digest = hashlib.sha256()
        with self._reading():
            for row in self._db.execute("SELECT model, task, protocol, judge, result FROM cells ORDER BY id"):
                digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def results(self) -> list[Result]:
        """All finished cells, in the order in which they were finished; their metrics carry no units."""
        with self._reading():
            rows = self._db.execute("SELECT model, task, protocol, judge, result FROM cells ORDER BY id").fetchall()
            return [Result.from_json(Cell(*row[:4]), row[4]) for row in rows]

    def cells(self) -> dict[int, Cell]:
        """The finished cells by their number in the database."""
        with self._reading():
            return {
                id: Cell(*names)
                for id, *names in self._db.execute("SELECT id, model, task, protocol, judge FROM cells")
            }

    def result(self, cell: Cell) -> Result | None:
        """What a finished cell says; None where it is not finished. Its metrics carry no units."""
        with self._reading():
            row = self._db.execute(
                "SELECT result FROM cells WHERE model = ? AND task = ? AND protocol = ? AND judge = ?", cell
            ).fetchone()
            return Result.from_json(cell, row[0]) if row else None

    def verdicts(self, cell: Cell) -> list[tuple[str, bytes, Verdict]]:
        """(sample id, response key, verdict) of a cell, in the data set's order."""
        with self._reading():
            rows = self._db.execute(
                "SELECT sample_id, key, state, score, extracted, rule, random, note FROM verdicts"
                " JOIN cells ON cells.id = cell WHERE model = ? AND task = ? AND protocol = ? AND judge = ?"
                " ORDER BY position",
                cell,
            )
            return [(id, key, Verdict(State(s), x, e, r, bool(d), n)) for id, key, s, x, e, r, d, n in rows]

    def keys(self, cell: Cell) -> list[tuple[str, bytes]]:
        """(sample id, response key) of a cell's items, in the data set's order."""
        with self._errors():
            return self._db.execute(
                "SELECT sample_id, key FROM verdicts JOIN cells ON cells.id = cell"
                " WHERE model = ? AND task = ? AND protocol = ? AND judge = ? ORDER BY position",
                cell,
            ).fetchall()

    def units(self, cell: Cell) -> list[Unit]:
        """The units of a cell: what paired statistics compare."""
        with self._reading():
            rows = self._db.execute(
                "SELECT units.id, cluster, score, weight FROM units JOIN cells ON cells.id = cell"
                " WHERE model = ? AND task = ? AND protocol = ? AND judge = ? ORDER BY position",
                cell,
            )
            return [Unit(*row) for row in rows]


def _lock(folder: Path) -> IO[str]:
    """Take the folder for this process; a second process is told who has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("a+")
    except OSError as error:
        raise HarnessError(
            f"cannot write to {folder}: {error.strerror}", "make it writable or choose another folder with --out"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        owner = handle.read().strip() or "another process"
        handle.close()
        raise HarnessError(
            f"{folder} is in use by process {owner}", "wait for it to end, or choose another folder with --out"
        ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def _storable(text: str) -> str:
    """UTF-8 text: a lone surrogate, which a server may send as a JSON escape, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _sample_body(sample: Sample) -> str:
    body: Mapping[str, Any] = {
        "question": sample.question,
        "answer": sample.answer,
        "choices": dict(sample.choices),
        "meta": dict(sample.meta),
        "images": [image.sha256 for image in sample.images],
    }
    return json.dumps(body, ensure_ascii=False)


def _sample(id: str, cluster: str, fields: dict[str, Any]) -> Sample:
    fields["images"] = tuple(_image(sha256) for sha256 in fields["images"])
    return Sample(id=id, cluster=cluster, **fields)


def _image(sha256: str) -> Image:
    def read() -> bytes:
        raise HarnessError(f"the run keeps image {sha256[:12]} by hash only", "open the data set for its bytes")

    return Image(sha256, read)


def _response(row: tuple[Any, ...]) -> Response:
    _, index, text, finish, token_ids, logprobs, prompt_tokens, error = row
    ids = array("I")
    ids.frombytes(token_ids)
    probabilities = array("f")
    probabilities.frombytes(logprobs)
    return Response(text, finish, tuple(ids), tuple(probabilities), prompt_tokens, error, index)
