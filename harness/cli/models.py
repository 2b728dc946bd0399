"""`harness models`: the checkpoints that come with the package, and the backends that run them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import registry
from harness.api import HarnessError
from harness.cli.listing import described, documentation, listing

_EXAMPLES = """\b
Examples:
  harness models
  harness models show embedded/student
  harness run --tasks chartqa --model embedded/student
"""
_EMBEDDED = "embedded/"


def _records() -> list[dict[str, Any]]:
    return [*(_checkpoint(name) for name in registry.names("checkpoints")), *map(_backend, registry.names("models"))]


def _checkpoint(name: str) -> dict[str, Any]:
    folder = _folder(name)
    return {
        "name": f"{_EMBEDDED}{name}",
        "kind": "checkpoint",
        "parameters": parameters(folder),
        "what": ", ".join(_config(folder).get("architectures", [])),
    }


def _backend(name: str) -> dict[str, Any]:
    return {"kind": "backend", "parameters": None, **described("models", name)}


def _show(name: str) -> dict[str, Any]:
    if not name.startswith(_EMBEDDED):
        return documentation("models", name)
    folder = _folder(name.removeprefix(_EMBEDDED))
    config = _config(folder)
    files = sorted(folder.iterdir())
    return _checkpoint(name.removeprefix(_EMBEDDED)) | {
        "folder": str(folder),
        "size": f"{sum(file.stat().st_size for file in files) / 2**20:.1f} MiB",
        "files": [file.name for file in files],
        "model type": config.get("model_type"),
    }


def _folder(name: str) -> Path:
    place: Callable[[], str | Path] = registry.load("checkpoints", name)
    return Path(place())


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HarnessError(f"{folder / 'config.json'} cannot be read: {error}", "install the package again") from error
    return config


def parameters(folder: Path) -> int:
    """Parameters of a checkpoint, from the headers of its safetensors files (no weight is read)."""
    total = 0
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as handle:
            header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
        total += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total


models = listing(
    "models",
    help="List the embedded checkpoints and the backends, or show one.",
    epilog=_EXAMPLES,
    records=_records,
    columns={"name": "name", "kind": "kind", "parameters": "parameters", "what": "what"},
    show=_show,
    numbers=("parameters",),
)
