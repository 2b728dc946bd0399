"""The faults of benchmarks/soak.py that are no kills: each on a run of which half is done, then resumed."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from faults import Ended, forked, harness, stored, table

from harness import registry
from harness.models import batches
from harness.store import Store

HEAD = (
    "# Faults survived\n\nWritten by `make soak`. Kills strike at random moments; every other fault strikes a run of"
    "\nwhich half is stored. The same command then resumes, and its end is compared with that of an undisturbed run."
    "\nDamage to a training (responses, checkpoint, state, log) is in tests/test_faults.py.\n\n"
    "| fault | what happened, what the message said | lost | after the same command again |\n|---|---|---|---|"
)


def rows(command: list[object], whole: Path, work: Path) -> Iterator[str]:
    """A row of the table for every fault."""
    expected, folder = table(whole), work / "disk" / "run"
    for name, harm in FAULTS.items():
        shutil.rmtree(work / "disk", ignore_errors=True)
        with _disk(work / "disk") as resized:
            half_done(whole, folder)
            before = stored(folder)
            ended = harm(command, folder, resized)
            resized("200m")
            lost = len(before - stored(folder))
            again = forked(harness(*command, folder))
            same = again.code == 0 and table(folder) == expected
            said = "finished" if ended.code == 0 else ended.message.replace(str(work), "").replace("|", "/")
            trace = " WITH A TRACEBACK" if "Traceback" in ended.text else ""
            end = "equal" if same else "DIFFERS"
            yield f"| {name} | exit {ended.code}{trace}: {said} | {lost or 'nothing'} | {end} |"


def half_done(whole: Path, folder: Path) -> None:
    """A copy of a run without its end and without half of its responses."""
    folder.mkdir()
    shutil.copy(whole / "run.sqlite", folder)
    with Store(folder) as store, store._writing() as db:
        db.execute("DELETE FROM cells")
        keys = [key for (key,) in db.execute("SELECT key FROM responses ORDER BY key")]
        db.executemany("DELETE FROM responses WHERE key = ?", [(key,) for key in keys[::2]])


@contextmanager
def _disk(place: Path) -> Iterator[Callable[[str], None]]:
    """A disk of its own that can be made smaller or read-only; without the right to mount, a folder."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True).returncode == 0

    def resized(options: str) -> None:
        if mounted:
            option = options if options in ("ro", "rw") else f"rw,size={options}"
            subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True)

    try:
        yield resized
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)


def _room(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


def full(extra: int) -> Callable[..., Ended]:
    """The disk has `extra` bytes left."""

    def harm(command: list[object], folder: Path, resized: Callable[[str], None]) -> Ended:
        resized(str(_room(folder) + extra))
        return forked(harness(*command, folder))

    return harm


def limited(which: int, value: Callable[[Path], int]) -> Callable[..., Ended]:
    """A resource limit."""
    return lambda command, folder, _: forked(harness(*command, folder), limits={which: value(folder)})


def read_only(command: list[object], folder: Path, resized: Callable[[str], None]) -> Ended:
    """The disk is mounted read-only."""
    resized("ro")
    ended = forked(harness(*command, folder))
    resized("rw")
    return ended


def signalled(number: int, times: int = 1) -> Callable[..., Ended]:
    """A signal in the middle of the second batch."""

    def harm(command: list[object], folder: Path, _: object) -> Ended:
        real, calls = batches.decode, iter(range(10**9))

        def decode(*arguments: object) -> object:
            if next(calls) == 1:
                for _ in range(times):
                    os.kill(os.getpid(), number)
            return real(*arguments)

        batches.decode = decode
        try:
            ended = forked(harness(*command, folder))
        finally:
            batches.decode = real
        words = [line for line in ended.text.splitlines() if "stop" in line]
        return Ended(ended.code, " / ".join(words))

    return harm


def clock(command: list[object], folder: Path, _: object) -> Ended:
    """Every clock jumps by decades at every look; the files are of 1970 and 2106."""
    draw, real = random.Random(0), (time.time, time.monotonic)
    for path in folder.iterdir():
        os.utime(path, (0, 2**32))
    time.time = time.monotonic = lambda: draw.uniform(-1e9, 4e9)
    try:
        ended = forked(harness(*command, folder))
    finally:
        time.time, time.monotonic = real
    return ended


def two(command: list[object], folder: Path, _: object) -> Ended:
    """Another process has the folder."""
    with Store(folder):
        return forked(harness(*command, folder))


def version(command: list[object], folder: Path, _: object) -> Ended:
    """A store of another version; the table is that of the version put back."""
    with Store(folder) as store, store._writing() as db:
        (known,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 99")
    ended = forked(harness(*command, folder))
    with closing(sqlite3.connect(folder / "run.sqlite")) as db:
        db.execute(f"PRAGMA user_version = {known}")
    return ended


def garbage(command: list[object], folder: Path, _: object) -> Ended:
    """The head of the database is overwritten; the table is that of the copy put back."""
    file = folder / "run.sqlite"
    data = file.read_bytes()
    file.write_bytes(os.urandom(4096) + data[4096:])
    ended = forked(harness(*command, folder))
    file.write_bytes(data)
    return ended


def checkpoint(command: list[object], folder: Path, _: object) -> Ended:
    """The model's safetensors file is cut."""
    model = folder.parent / "model"
    shutil.copytree(registry.load("checkpoints", "student")(), model)
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    at = command.index("--model") + 1
    return forked(harness(*command[:at], model, *command[at + 1 :], folder))


def used(more: int) -> Callable[[Path], int]:
    """The address space of this process and some more."""
    return lambda _: int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + more


FAULTS: dict[str, Callable[..., Ended]] = {
    "disk full, 16 kB left": full(16_000), "disk full, 64 kB left": full(64_000),
    "disk full, 128 kB left": full(128_000),
    "file size limit (RLIMIT_FSIZE)": limited(resource.RLIMIT_FSIZE, lambda f: (f / "run.sqlite").stat().st_size // 2),
    "disk read-only": read_only, "clock and file times jump": clock, "run.sqlite overwritten": garbage,
    "store of another version": version, "checkpoint cut in half": checkpoint, "second process on the folder": two,
    "SIGTERM": signalled(signal.SIGTERM), "Ctrl-C": signalled(signal.SIGINT),
    "Ctrl-C twice": signalled(signal.SIGINT, 2),
    "no memory, none left (RLIMIT_AS)": limited(resource.RLIMIT_AS, used(0)),
    "no memory, 30 MB left (RLIMIT_AS)": limited(resource.RLIMIT_AS, used(30 << 20)),
}  # fmt: skip
