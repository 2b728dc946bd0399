"""A run on disk: one folder, crash-safe, responses known by their content."""

from harness.store.frames import LoadedRun, load_run
from harness.store.keys import request_key
from harness.store.results import Cell, Result
from harness.store.store import Store

__all__ = ["Cell", "LoadedRun", "Result", "Store", "load_run", "request_key"]
