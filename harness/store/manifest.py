"""The manifest: where every number of a run comes from. Written last, so its presence means the run is complete."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from harness import __version__
from harness.store.store import Store

_PACKAGES = ("torch", "torchvision", "transformers", "tokenizers", "accelerate", "pillow", "numpy", "vllm", "deepspeed")
_HERE = Path(__file__).resolve().parents[2]


class Manifest(BaseModel):
    """What made a run. `cells` has one entry per number: model fingerprint, data hash, protocol, judge, code hash.

    `results` hashes what the tables beside it were made of; `usage` is what served models say they spent, by model;
    `parity` the certificates of `harness parity`.
    """

    model_config = ConfigDict(extra="forbid")

    harness: str
    git: dict[str, Any]
    python: str
    packages: dict[str, str]
    hardware: dict[str, Any]
    arguments: dict[str, Any]
    cells: list[dict[str, Any]]
    results: str = ""
    usage: dict[str, dict[str, float]] = {}
    parity: list[dict[str, Any]] = []
    finished: str


#: What decides the tables of a run; the rest of a manifest is about when and where they were made.
_DECIDES = {"harness", "git", "arguments", "cells", "results", "usage", "parity"}


def describe(store: Store, arguments: Mapping[str, Any]) -> Manifest:
    """The manifest of the run as it is now."""
    notes = store.meta()
    return Manifest(
        harness=__version__,
        git=_git(),
        python=sys.version.split()[0],
        packages=_packages(),
        hardware=_hardware(),
        arguments=dict(arguments),
        cells=[
            {
                **r.cell._asdict(),
                "fingerprint": r.fingerprint,
                "edition": r.edition,
                "data_sha256": r.data_sha256,
                "code": r.code,
                "items": r.items,
                "skipped_rows": r.skipped_rows,
                "stage": dict(r.stage),
            }
            for r in store.results()
        ],
        results=store.results_digest(),
        usage=notes.get("usage", {}),
        parity=notes.get("parity", []),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def is_current(store: Store, manifest: Manifest) -> bool:
    """Whether the run's manifest.json says that its tables were made of the same."""
    try:
        before = Manifest.model_validate_json((store.folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # none yet, or not readable: it is made anew
    now = json.loads(json.dumps(manifest.model_dump(include=_DECIDES)))
    return bool(before.model_dump(include=_DECIDES) == now)


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Write manifest.json, whole or not at all."""
    part = store.folder / ".manifest.json.part"
    part.write_text(json.dumps(manifest.model_dump(), indent=1, ensure_ascii=False) + "\n")
    part.replace(store.folder / "manifest.json")


def _git() -> dict[str, Any]:
    """Commit and dirty flag of the source tree, or nothing where the package was installed without one."""
    if not (_HERE / ".git").exists():
        return {}

    def git(*words: str) -> str:
        command = ["git", "-C", str(_HERE), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError) as error:
        return {"unknown": str(error)}


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an optional engine that is not installed decided nothing
    return found


def _hardware() -> dict[str, Any]:
    import psutil

    hardware: dict[str, Any] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        hardware["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return hardware
