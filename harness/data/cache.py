"""The cache of converted data sets: one folder per source and task, replaced when the source has changed."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import inspect
import os
import re
import shutil
import time
import uuid
from pathlib import Path
from types import FunctionType

from harness.api import HarnessError
from harness.data.convert import Manifest, convert, stamp
from harness.data.rows import Build, Source

_VERSION = 1  # of the layout and of the checks: a new number makes every entry anew
_ENVIRONMENT = "MASTERS_HARNESS_CACHE"
_STALE_S = 24 * 3600


def cache_folder() -> Path:
    """Where converted data lies: MASTERS_HARNESS_CACHE, or ~/.cache/masters-harness."""
    return Path(os.environ.get(_ENVIRONMENT) or "~/.cache/masters-harness").expanduser()


def entry_of(source: Source, task: str, build: Build, *, keep_bad: bool) -> tuple[Path, Manifest]:
    """The folder of the source as the task reads it, converted if it is not there or has changed.

    A source with bad rows is kept only if `keep_bad`; otherwise its folder would never be used again. The caller
    decides whether the manifest's bad rows are an error.
    """
    root = cache_folder() / "data"
    function = _function(build)
    code = _code(function)
    made_of = " ".join(map(str, [*source.files(), code]))  # another installation has another generator and task
    identity = f"{_VERSION} {task} {function.__qualname__} {source.published} {source.key} {made_of}"
    digest = hashlib.sha256(identity.encode(errors="surrogateescape"))
    entry = root / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', task)[:60]}-{digest.hexdigest()[:16]}"
    if found := valid(entry, source.key):
        return entry, found
    try:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        made = _making(root)
        made.mkdir()
    except OSError as error:
        raise _unwritable(root, error) from error
    try:
        manifest = convert(source, build, code, made)
        if manifest.bad and not keep_bad:
            return entry, manifest
        manifest.write(made)
        return entry, _install(made, entry, manifest)
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(str(root)):
            raise HarnessError(f"cannot read {error.filename}: {error.strerror}", "check the file") from error
        raise _unwritable(root, error) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def valid(entry: Path, key: str) -> Manifest | None:
    """The manifest of a complete entry whose source files are unchanged; None otherwise."""
    try:
        manifest = Manifest.read(entry)
        current = (
            manifest.key == key
            and all(stamp(path) == stated for path, stated in manifest.files.items())
            and all((entry / name).stat().st_size == size for name, size in manifest.sizes.items())
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return manifest if current else None


def _install(made: Path, entry: Path, manifest: Manifest) -> Manifest:
    """Rename into place; where another process was faster, its entry is used."""
    while True:
        try:
            made.rename(entry)
            return manifest
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if other := valid(entry, manifest.key):
            return other
        grave = _making(entry.parent)
        with contextlib.suppress(FileNotFoundError):  # another process has moved the old entry away
            entry.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)


def _making(root: Path) -> Path:
    return root / f"making-{uuid.uuid4().hex}"


def _sweep(root: Path) -> None:
    """Remove what killed processes left behind a day ago."""
    for left in root.glob("making-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)


def _function(build: Build) -> FunctionType:
    """The plain function behind partials and decorators."""
    while isinstance(build, functools.partial):
        build = build.func
    function: FunctionType = inspect.unwrap(build)
    return function


def _code(function: FunctionType) -> Path | None:
    """The file of the function: other code may find other rows bad."""
    file = inspect.getsourcefile(function)
    return Path(file) if file and Path(file).exists() else None


def _unwritable(root: Path, error: OSError) -> HarnessError:
    return HarnessError(
        f"cannot write the data cache {root}: {error.strerror or error}",
        f"free some space, or set {_ENVIRONMENT} to a folder that can be written",
    )
