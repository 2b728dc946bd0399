"""Export a finished run as a reference for the gate: `python results/make_reference.py RUN results/reference/NAME`."""

import sys
from pathlib import Path

from harness.reference import write_reference

if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write_reference(Path(sys.argv[1]), Path(sys.argv[2]))
