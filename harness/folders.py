"""Where the harness keeps what can be made again. Imports next to nothing: the start of a process asks, too."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """MASTERS_HARNESS_CACHE, or ~/.cache/masters-harness."""
    return Path(os.environ.get("MASTERS_HARNESS_CACHE") or "~/.cache/masters-harness").expanduser()
