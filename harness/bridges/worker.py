"""One job in a framework's environment: a folder goes in, files come out, its log stays beside them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from harness.api import HarnessError
from harness.bridges.environments import PACKAGE, Framework, python_of

HUB = "hub"
_REFUSED = 3  # exit code of run_job for what the bridge cannot carry
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_LOG_SHOWN = 1500  # characters of a failed job's log


def run_worker(framework: Framework, folder: Path, job: Mapping[str, str | None], data: str = HUB) -> None:
    """Run the framework's worker on a job, with `folder` as its place.

    Only `data` hub lets it reach the network. Raises HarnessError with the worker's sentence, or the end of its log.
    """
    python = python_of(framework)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "refused").unlink(missing_ok=True)
    path, log = folder / "job.json", folder / "log.txt"
    path.write_text(json.dumps({**job, "data": None if data == HUB else str(Path(data).resolve())}))
    with log.open("w") as output:
        done = subprocess.run(  # noqa: S603
            [str(python), "-m", f"{PACKAGE}.{framework.worker}", str(path)],
            cwd=folder, stdout=output, stderr=output, check=False, env=_environment(framework, folder, data),
        )  # fmt: skip
    if done.returncode == _REFUSED:
        raise HarnessError((folder / "refused").read_text(), f"`harness bridge tasks {framework.name}` lists its tasks")
    if done.returncode:
        tail = log.read_text(errors="replace").strip()[-_LOG_SHOWN:]
        what = f"{framework.name} failed on {job.get('task')} (exit code {done.returncode})"
        raise HarnessError(f"{what}:\n{tail}", f"the whole log is {log}")


def _environment(framework: Framework, folder: Path, data: str) -> dict[str, str]:
    """Ours without what points Python elsewhere; VLMEvalKit writes beside its tables, so it gets links."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    if data == HUB:
        return {**found, "LMUData": found.get("LMUData", str(Path("~/LMUData").expanduser()))}
    tables = sorted(Path(data).resolve().glob("*.tsv"))
    # VLMEvalKit reuses the image files of an index, so tables that have changed must not meet their old images.
    state = "".join(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}\n" for path in tables)
    root = folder.parent / f"LMUData_{hashlib.sha256(state.encode(errors='surrogateescape')).hexdigest()[:12]}"
    root.mkdir(exist_ok=True)
    for table in tables:
        link = root / table.name
        if not link.exists():
            link.symlink_to(table)
    return {**found, **_OFFLINE, "LMUData": str(root)}
