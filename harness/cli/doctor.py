"""`harness doctor`: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any, NamedTuple

import click

_EXAMPLES = """\b
Examples:
  harness doctor
  harness doctor --json
"""
DISTRIBUTION = "masters-harness"
# Imported for real, in this order: a wrong build of one of these is installed and still does not work.
_IMPORTED = ("torch", "torchvision", "transformers")
_COLOURS = {"ok": "green", "missing": "yellow", "broken": "red", "note": "blue"}


class Finding(NamedTuple):
    """One line: `state` is ok, missing (optional), broken (the core does not work) or note."""

    state: str
    what: str
    detail: str
    remedy: str = ""


@click.command(epilog=_EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="JSON for machines.")
def doctor(as_json: bool) -> None:
    """Say what is installed, what is missing and how to get it.

    Exits with 1 if the core is broken; what is merely optional and missing is no error.
    """
    import json

    findings: list[Finding] = []
    parts: tuple[Callable[[], Iterator[Finding]], ...] = (_versions, _packages, _device, _plugins, _places, _hub)
    for part in parts:
        for finding in part():
            findings.append(finding)
            if not as_json:
                _print(finding)
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], indent=1))
    if any(finding.state == "broken" for finding in findings):
        raise click.exceptions.Exit(1)


def _print(finding: Finding) -> None:
    state = click.style(finding.state.ljust(8), fg=_COLOURS[finding.state], bold=True)
    click.echo(f"{state} {finding.what.ljust(22)} {finding.detail}")
    if finding.remedy:
        click.echo(f"{' ' * 9}remedy: {finding.remedy}")


def _versions() -> Iterator[Finding]:
    from harness import __version__

    yield Finding("ok", "harness", f"{__version__} ({os.path.dirname(os.path.dirname(os.path.dirname(__file__)))})")
    state = "ok" if sys.version_info >= (3, 11) else "broken"
    remedy = "" if state == "ok" else "use Python 3.11 or newer"
    yield Finding(state, "python", f"{platform.python_version()} ({sys.executable})", remedy)


# ---------------------------------------------------------------- packages


def _packages() -> Iterator[Finding]:
    """Every package that the core and each extra requires, with its version."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
        extras = metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        yield Finding("broken", DISTRIBUTION, "not installed as a package", "pip install -e . in the source folder")
        return
    core = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    problems = [problem for r in core if (problem := _problem(r))]
    names = ", ".join(f"{r.name} {version(r.name)}" for r in core if _problem(r) is None)
    if problems:
        yield Finding("broken", "core packages", "; ".join(problems), f"pip install --upgrade {DISTRIBUTION}")
    yield Finding("ok", "core packages", names)
    for extra in extras:
        own = [r for r in wanted if r not in core and r.marker and r.marker.evaluate({"extra": extra})]
        lacking = [problem for r in own if (problem := _problem(r))]
        remedy = f"pip install '{DISTRIBUTION}[{extra}]'" if lacking else ""
        found = "; ".join(lacking) or ", ".join(f"{r.name} {version(r.name)}" for r in own)
        yield Finding("missing" if lacking else "ok", f"extra {extra}", found, remedy)


def _problem(requirement: Any) -> str | None:
    """Why an installed package does not do, or None."""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(found, prereleases=True):
        return f"{requirement.name} {found} is installed, {requirement.specifier} is needed"
    return None


def _device() -> Iterator[Finding]:
    for name in _IMPORTED:
        try:
            import_module(name)
        except (ImportError, RuntimeError, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            remedy = f"install builds that fit each other: pip install --force-reinstall {' '.join(_IMPORTED)}"
            yield Finding("broken", f"import {name}", f"{type(error).__name__}: {reason}", remedy)
            return
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        yield Finding("ok", "device", f"{torch.cuda.device_count()} x CUDA {torch.version.cuda}: {names}")
    else:
        detail = f"CPU, {torch.get_num_threads()} threads of {os.cpu_count()} cores (no CUDA device)"
        yield Finding("ok", "device", detail)


# ---------------------------------------------------------------- plug-ins and places


def _plugins() -> Iterator[Finding]:
    """Entry points that fail to load, by name; our own tasks are core, anything else is optional."""
    from harness import registry
    from harness.api import HarnessError

    for kind in registry.KINDS:
        working = []
        for name in registry.names(kind):
            try:
                registry.load(kind, name)
                working.append(name)
            except HarnessError as error:
                state = "broken" if kind == "tasks" else "missing"
                yield Finding(state, f"{kind} {name}", error.message, "install the package that it needs")
        if working:
            yield Finding("ok", kind, ", ".join(working))
    if not registry.names("tasks"):
        yield Finding("broken", "tasks", "no benchmark is registered", f"pip install --force-reinstall {DISTRIBUTION}")


def _places() -> Iterator[Finding]:
    """The cache folder: size, free space, whether it can be written; the same for the current folder (runs)."""
    import shutil
    from pathlib import Path

    from harness.folders import cache_folder

    cache = cache_folder()
    size = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()) if cache.is_dir() else 0
    for what, folder, more in (("cache", cache, f", {size / 2**20:.0f} MiB used"), ("current folder", Path.cwd(), "")):
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        free = shutil.disk_usage(there).free / 2**30
        detail = f"{folder}{more}, {free:.1f} GiB free"
        if not os.access(there, os.W_OK):
            remedy = "set MASTERS_HARNESS_CACHE to a writable folder" if what == "cache" else "use --out with `run`"
            yield Finding("broken" if what == "cache" else "note", what, f"{detail}, cannot be written", remedy)
        else:
            yield Finding("note" if free < 1 else "ok", what, detail, "free some space" if free < 1 else "")


def _hub() -> Iterator[Finding]:
    """What the hub would be asked with; nothing reaches the network here."""
    from huggingface_hub import constants, get_token

    offline = "offline (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else "online on request only"
    token = "with a token" if get_token() else "no token (gated data sets need one: hf auth login)"
    yield Finding("ok", "hub", f"{constants.ENDPOINT}, {offline}, {token}, cache {constants.HF_HUB_CACHE}")
