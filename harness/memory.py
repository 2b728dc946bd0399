"""The most memory that this process has held so far."""

from __future__ import annotations

import resource
import sys


def peak_memory() -> dict[str, int]:
    """Bytes at the highest mark: `process`, and `gpu` (all devices together) where CUDA is in use."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        devices = range(torch.cuda.device_count())
        found["gpu"] = sum(torch.cuda.max_memory_allocated(device) for device in devices)
    return found
