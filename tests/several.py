"""One process of a small training: `python -m torch.distributed.run --nproc-per-node 2 tests/several.py JSON`.

The JSON names the folder of the tiny models, the run folder, the method, and settings of the recipe. `die_at` makes
every process kill itself before that optimizer step; `masks` writes each teacher's masked weights, gathered.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def launched(processes: int, timeout: int = 900, **asked: Any) -> subprocess.CompletedProcess[str]:
    """Run this file in so many processes; the caller looks at the return code."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    body = json.dumps({name: str(value) if isinstance(value, Path) else value for name, value in asked.items()})
    return subprocess.run(
        [sys.executable, *(start if processes > 1 else []), __file__, body], capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip


def main(asked: dict[str, Any]) -> None:
    """Train as asked."""
    from trainer_runs import die, recipe, run

    from trainers import step

    real = step.Stepper.step

    def dies(self: Any, groups: Any, signals: Any, number: int) -> Any:
        return die() if number == asked["die_at"] else real(self, groups, signals, number)

    if "die_at" in asked:
        step.Stepper.step = dies  # type: ignore[method-assign]
    run(recipe(Path(asked["models"]), asked["method"], **asked["settings"]), Path(asked["folder"]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
