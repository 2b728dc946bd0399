"""The cache of converted data sets: one folder per source and task, replaced when the source has changed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import inspect
import os
import re
import shutil
import uuid
from pathlib import Path
from types import FunctionType

from harness.api import HarnessError
from harness.data.convert import Manifest, convert, stamp
from harness.data.images import max_pixels
from harness.data.rows import Build, Source
from harness.folders import cache_folder

_VERSION = 1  # of the layout and of the checks: a new number makes every entry anew


def entry_of(source: Source, task: str, build: Build, *, keep_bad: bool) -> tuple[Path, Manifest]:
    """The folder of the source as the task reads it, converted if it is not there or has changed.

    A source with bad rows is kept only if `keep_bad`; otherwise its folder would never be used again. The caller
    decides whether the manifest's bad rows are an error.
    """
    root = cache_folder() / "data"
    function = _function(build)
    code = _code(function)
    made_of = " ".join(map(str, [*source.files(), code]))  # another installation has another generator and task
    identity = f"{_VERSION} {max_pixels()} {task} {function.__qualname__} {source.published} {source.key} {made_of}"
    digest = hashlib.sha256(identity.encode(errors="surrogateescape"))
    entry = root / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', task)[:60]}-{digest.hexdigest()[:16]}"
    if found := valid(entry, source.key):
        return entry, found
    try:
        root.mkdir(parents=True, exist_ok=True)
        made, lock = _begun(root)
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
        os.close(lock)


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


def _begun(root: Path) -> tuple[Path, int]:
    """A new folder to convert into, locked while it is open; what killed processes left behind is removed.

    A folder that somebody still fills is known by its lock, not by its age, which a clock that jumps would change.
    """
    door = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        for left in root.glob("making-*"):
            with contextlib.suppress(OSError):
                lock = os.open(left, os.O_RDONLY)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left, ignore_errors=True)
                finally:
                    os.close(lock)
        made = _making(root)
        made.mkdir()
        lock = os.open(made, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return made, lock
    finally:
        os.close(door)


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
        "free some space, or set MASTERS_HARNESS_CACHE to a folder that can be written",
    )
