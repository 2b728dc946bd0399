"""The frameworks' own environments: what is installed where, and how it gets there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from harness import __version__
from harness.api import HarnessError
from harness.folders import cache_folder

PACKAGE = "masters_harness_bridge"
_WHEEL = f"{PACKAGE}-{__version__}-py3-none-any.whl"
_ENTRY_POINTS = f"""[lmms_eval.models]
harness = {PACKAGE}.lmms_eval_model:MANIFEST

[console_scripts]
vlmeval-harness = {PACKAGE}.vlmeval_model:main
"""


class Framework(NamedTuple):
    """A framework that can be bridged: its pins (the package itself comes first) and its side of the bridge."""

    name: str
    requirements: tuple[str, ...]
    worker: str

    @property
    def package(self) -> str:
        """The package's name on the index."""
        return self.requirements[0].partition("==")[0]

    @property
    def version(self) -> str:
        """The pinned version."""
        return self.requirements[0].partition("==")[2]


FRAMEWORKS = {
    "lmms-eval": Framework("lmms-eval", ("lmms-eval==0.7.3", "Levenshtein"), "lmms_eval_worker"),
    "vlmeval": Framework("vlmeval", ("ms-vlmeval==0.0.20",), "vlmeval_worker"),
}


def folder_of(framework: Framework, *, latest: bool = False) -> Path:
    """The folder of its environment."""
    return cache_folder() / "upstream" / (framework.name + "-latest" * latest)


def install(framework: Framework, *, latest: bool = False) -> Path:
    """Its python, after installing what is missing: 2.5 GB to 7 GB and some minutes the first time, else nothing.

    `latest` takes the newest versions, in a folder of its own. Raises HarnessError where pip fails.
    """
    folder = folder_of(framework, latest=latest)
    wanted = [name.partition("==")[0] for name in framework.requirements] if latest else list(framework.requirements)
    python, mark = folder / "bin" / "python", folder / "installed.txt"
    if latest or _marked(mark) != wanted:
        if not python.exists():
            _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "-q", "--upgrade", *wanted])
        mark.write_text("\n".join(wanted) + "\n")
    _install_bridge(folder)
    return python


def python_of(framework: Framework) -> Path:
    """Its python, ready for the bridge; HarnessError that names `harness bridge install` where it is not installed."""
    folder = folder_of(framework)
    if _marked(folder / "installed.txt") != list(framework.requirements):
        state = "another version" if (folder / "bin" / "python").exists() else "nothing"
        raise HarnessError(
            f"{framework.name} is not installed: {folder} holds {state}, {framework.requirements[0]} is wanted",
            f"harness bridge install {framework.name}",
        )
    _install_bridge(folder)
    return folder / "bin" / "python"


def bridge_code() -> str:
    """Content of our side in the framework's environment: 12 hexadecimal digits."""
    return hashlib.sha256(b"\0".join(text.encode() for _, text in _sources())).hexdigest()[:12]


# ---------------------------------------------------------------- our package in there


def _install_bridge(folder: Path) -> None:
    """Install the package masters_harness_bridge there, unless this very one is."""
    mark = folder / "bridge.txt"
    home = json.dumps({"python": sys.executable, "environment": _environment()})
    state = f"{bridge_code()} {home}"
    if mark.exists() and mark.read_text() == state:
        return
    wheel = folder / _WHEEL
    _write_wheel(wheel, home)
    _run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--force-reinstall",
          str(wheel)])  # fmt: skip
    wheel.unlink()
    mark.write_text(state)


def _environment() -> dict[str, str]:
    """What our interpreter needs to find this package again."""
    return {"PYTHONPATH": os.environ["PYTHONPATH"]} if os.environ.get("PYTHONPATH") else {}


def _sources() -> list[tuple[str, str]]:
    folder = files("harness.bridges.foreign")
    return sorted((part.name, part.read_text()) for part in folder.iterdir() if part.name.endswith(".py"))


def _write_wheel(path: Path, home: str) -> None:
    """A wheel of the folder foreign/: it needs no build tool there, and pip knows it and can remove it."""
    info = f"{PACKAGE}-{__version__}.dist-info"
    contents: list[tuple[str, str]] = [(f"{PACKAGE}/{name}", text) for name, text in _sources()]
    contents += [
        (f"{PACKAGE}/home.json", home),
        (f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE.replace('_', '-')}\nVersion: {__version__}\n"),
        (f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: masters-harness\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        (f"{info}/entry_points.txt", _ENTRY_POINTS),
    ]
    record = "".join(f"{name},,\n" for name, _ in contents) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, text in [*contents, (f"{info}/RECORD", record)]:
            wheel.writestr(name, text)


def _marked(mark: Path) -> list[str]:
    return mark.read_text().split() if mark.exists() else []


def _run(command: Iterable[str]) -> None:
    done = subprocess.run(list(command), check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise HarnessError(
            f"{' '.join(list(command)[:6])} ... failed: {done.stderr.strip()[-600:]}",
            "check the connection to the package index and the free disk space; the same command goes on",
        )
