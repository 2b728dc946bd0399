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

    `usage` is what served models say they spent, by model; `parity` the certificates of `harness parity`.
    """

    model_config = ConfigDict(extra="forbid")

    harness: str
    git: dict[str, Any]
    python: str
    packages: dict[str, str]
    hardware: dict[str, Any]
    arguments: dict[str, Any]
    cells: list[dict[str, Any]]
    usage: dict[str, dict[str, float]] = {}
    parity: list[dict[str, Any]] = []
    finished: str


def write_manifest(store: Store, arguments: Mapping[str, Any]) -> Manifest:
    """Describe the run and write manifest.json, whole or not at all."""
    notes = store.meta()
    manifest = Manifest(
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
        usage=notes.get("usage", {}),
        parity=notes.get("parity", []),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    part = store.folder / ".manifest.json.part"
    part.write_text(json.dumps(manifest.model_dump(), indent=1, ensure_ascii=False) + "\n")
    part.replace(store.folder / "manifest.json")
    return manifest


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
