"""Work in a process of its own that is killed, starved or signalled: for test_faults.py and benchmarks/soak.py."""

from __future__ import annotations

import io
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import RLock
from typing import NamedTuple

import psutil
import tqdm.auto
import tqdm.std

from harness.cli import main
from harness.store import Store, load_run


class Ended(NamedTuple):
    """How a process ended: its exit code (minus the signal that killed it) and all that it wrote."""

    code: int
    text: str

    @property
    def message(self) -> str:
        """Its last words: the sentence and its remedy."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        start = max((i for i, line in enumerate(lines) if line.startswith("error:")), default=len(lines) - 1)
        return " ".join(lines[start:])


def harness(*words: object) -> Callable[[], None]:
    """The command line with these arguments, as work."""
    return lambda: main([str(word) for word in words], prog_name="harness")


def forked(
    work: Callable[[], object],
    *,
    kill_after: float | None = None,
    limits: Mapping[int, int] | None = None,
    uid: int = 0,
) -> Ended:
    """Do the work in a child: killed with -9 after some seconds of its CPU time, under limits, as another user."""
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if child == 0:
            _child(work, out.fileno(), limits or {}, uid)
        watched = psutil.Process(child)
        while kill_after is not None:  # the child is ours: its number is not given away before we wait for it
            spent = watched.cpu_times()
            if watched.status() == psutil.STATUS_ZOMBIE:
                break
            if spent.user + spent.system > kill_after:
                os.kill(child, signal.SIGKILL)
                break
            time.sleep(0.002)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        return Ended(os.waitstatus_to_exitcode(status), out.read().decode("utf-8", "replace"))


def _child(work: Callable[[], object], out: int, limits: Mapping[int, int], uid: int) -> None:
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(fd, "wb", closefd=False), write_through=True) for fd in (1, 2))
    lock = RLock()  # tqdm's own is shared with all children: one killed while it holds it would stop the others
    for bar in (tqdm.std.tqdm, tqdm.auto.tqdm):
        bar.set_lock(lock)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
    code = 0
    try:
        if uid:
            os.setuid(uid)
        for which, value in limits.items():
            resource.setrlimit(which, (value, value))
        work()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  (this is the end of the process)
        traceback.print_exc()
        code = 1
    os._exit(code)


def table(folder: Path) -> str:
    """All that a run says: every verdict with its response, every unit, every number."""
    run = load_run(folder)
    columns = ["model", "task", "protocol", "judge", "id", "state", "score", "response"]
    items = run.items[columns].sort_values(columns[:5]).to_csv()
    units = run.units.sort_values(list(run.units.columns[:5])).to_csv()
    scores = sorted((*r.cell, r.metrics.score, r.metrics.stderr, r.items) for r in run.results)
    return "\n".join([items, units, str(scores)])


def stored(folder: Path) -> set[bytes]:
    """Keys of the responses that a run holds, errors left out."""
    if not (folder / "run.sqlite").is_file():
        return set()
    with Store(folder, write=False) as store:
        return set(store.frame("SELECT key FROM responses WHERE finish != 'error'")["key"])
