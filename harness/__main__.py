"""`python -m harness` and the command `harness`."""

from __future__ import annotations

import atexit
import os
import sys

from harness import deferred
from harness.cli import main

_codes: list[int] = []  # how the command line ended


def run() -> None:
    """Run the command line in a process of its own."""
    atexit.register(_leave)  # before all others, so that it is called after them
    try:
        main(prog_name="harness")
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            _codes.append(ended.code or 0)
        raise


def _leave() -> None:
    """End now, after all threads and exit handlers: Python takes a quarter of a second to take torch apart."""
    if not _codes or not deferred.enabled():
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return  # Python says so in its own way
    os._exit(_codes[-1])


if __name__ == "__main__":
    run()
