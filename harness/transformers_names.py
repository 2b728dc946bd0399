"""What the models of transformers define, kept between processes.

transformers reads all files of all models at every start, twice: a sixth of the time until the first request.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from harness.folders import cache_folder

#: Backends that names need -> module -> names, as transformers' `define_import_structure` returns it.
Names = dict[frozenset[str], dict[str, set[str]]]


def keep(import_utils: ModuleType) -> None:
    """Let transformers.utils.import_utils, just loaded, take the names of `transformers.models` from our cache."""
    define: Callable[..., Names] = import_utils.define_import_structure
    models = Path(str(import_utils.__file__)).parents[1] / "models"
    if not {"site-packages", "dist-packages"} & set(models.parts):
        return  # somebody's working copy, whose files change under one version

    def defined(module_path: str, prefix: str | None = None) -> Names:
        if Path(module_path) not in (models, models / "__init__.py"):
            return define(module_path, prefix)
        file = _file(models)
        names = _read(file)
        if names is None:
            names = define(str(models))
            _write(file, names)
        start = f"{prefix}." if prefix else ""
        return {needs: {start + module: found for module, found in part.items()} for needs, part in names.items()}

    import_utils.define_import_structure = defined  # type: ignore[attr-defined]


def _file(models: Path) -> Path:
    """Where the names of this installation lie; another one writes these files anew."""
    stats = [path.stat() for path in (models, models.parent / "__init__.py", models / "__init__.py")]
    identity = repr([str(models), [(stat.st_mtime_ns, stat.st_size) for stat in stats]])
    return cache_folder() / "transformers" / f"names-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"


def _read(file: Path) -> Names | None:
    """What was kept, or None where nothing was or the file is damaged: then it is made anew."""
    try:
        digest, _, text = file.read_bytes().partition(b"\n")
    except OSError:
        return None
    if digest.decode("ascii", "replace") != hashlib.sha256(text).hexdigest():
        return None
    return {
        frozenset(needs): {module: set(names) for module, names in part.items()} for needs, part in json.loads(text)
    }


def _write(file: Path, names: Names) -> None:
    kept = [[sorted(needs), {module: sorted(found) for module, found in part.items()}] for needs, part in names.items()]
    text = json.dumps(kept).encode()
    part = file.with_name(f".{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # without a cache it is slower, no more
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
        part.replace(file)
