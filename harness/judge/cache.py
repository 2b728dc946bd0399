"""Answers of judges by content, in one SQLite file: what a judge has said once is never asked again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from harness.api import Ask, HarnessError

_SCHEMA = "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, judge TEXT NOT NULL, text TEXT NOT NULL)"
_AT_ONCE = 512  # keys in one query


def answer_key(judge: str, ask: Ask) -> bytes:
    """SHA-256 over the judge's identity, prompt, system prompt, temperature and token limit.

    A rule that asks again for another draw at random must therefore change its temperature or its prompt.
    """
    body = json.dumps([judge, ask.prompt, ask.system, float(ask.temperature), ask.max_tokens], ensure_ascii=False)
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).digest()


class AnswerCache:
    """The file; it is made when it is first used. Several processes may use it at a time.

    Every answer is committed when it arrives, so that a kill loses none. Failures are never put here.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    @contextmanager
    def open(self) -> Iterator[OpenCache]:
        """The cache for some reads and writes; HarnessError where the file or its folder cannot be used."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            with closing(sqlite3.connect(self.file, timeout=60, isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                db.execute(_SCHEMA)
                yield OpenCache(db)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> HarnessError:
        return HarnessError(
            f"cannot use the cache of judges' answers {self.file}: {error}",
            "make it writable or free some space; a damaged file can be deleted; or set MASTERS_HARNESS_CACHE",
        )


class OpenCache:
    """An open cache."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def get(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The kept answers."""
        found: dict[bytes, str] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            found.update(self._db.execute(f"SELECT key, text FROM answers WHERE key IN ({marks})", some))  # noqa: S608
        return found

    def put(self, key: bytes, judge: str, text: str) -> None:
        """Keep an answer now."""
        self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (key, judge, text))
