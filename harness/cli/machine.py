"""What the machine refuses (disk full, read-only, no memory) as a sentence, wherever in a verb it happened."""

from __future__ import annotations

import errno

from harness.api import HarnessError

_AGAIN = "the same command again resumes with what is stored"
_SPACE = f"free disk space; {_AGAIN}"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: f"free some of your quota; {_AGAIN}",
    errno.EFBIG: f"raise the limit of file sizes (ulimit -f); {_AGAIN}",
    errno.EROFS: f"choose a folder that can be written; {_AGAIN}",
    errno.EACCES: "check who owns the file and its permissions, or choose another folder",
    errno.EPERM: "check who owns the file and its permissions, or choose another folder",
    errno.EIO: f"look at the disk (dmesg); {_AGAIN}",
    errno.EMFILE: f"raise the limit of open files (ulimit -n); {_AGAIN}",
}
_NO_MEMORY = f"end other programs or lower --batch-tokens (of a recipe: train.questions_per_batch); {_AGAIN}"


def of_machine(error: OSError | MemoryError | RuntimeError) -> HarnessError | None:
    """The sentence for an error that is the machine's, None for one that is ours (it keeps its traceback)."""
    text = " ".join(str(error).split())
    # torch says so in RuntimeErrors of its own, CUDA's in a subclass that cannot be named without importing torch
    if isinstance(error, MemoryError) or "allocate memory" in text or type(error).__name__ == "OutOfMemoryError":
        return HarnessError(f"out of memory: {text[:200] or 'an allocation was refused'}", _NO_MEMORY)
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return HarnessError(f"out of memory: {text[:200]}", _NO_MEMORY)
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        where = f"{error.filename}: " if error.filename else ""
        return HarnessError(f"{where}{error.strerror}", _REMEDIES[error.errno])
    return None
