"""(e) The same command again on a finished run of 30,000 items."""

from __future__ import annotations

import tempfile

from inputs import checkpoint
from many import TASK, Instant, many
from processes import harness, middle, timed, write_section

from harness.evaluation import Evaluator, finish_run
from harness.models.fingerprint import checkpoint_fingerprint
from harness.store import Store

ITEMS, ROUNDS = 30_000, 3


def main() -> None:
    """Finish a run with answers that come at once, in the name of a checkpoint; then time `harness run` on it."""
    data, model = many(ITEMS), checkpoint()
    instant = Instant(str(model), checkpoint_fingerprint(model, "torch.float32"))
    with tempfile.TemporaryDirectory() as folder:
        with Store(folder) as store:
            Evaluator(store, data=data).evaluate(instant, [TASK])
            finish_run(store, {})
            answers = store.frame("SELECT count(*) AS n FROM responses")["n"][0]
        command = harness("run", "--tasks", TASK, "--data", data, "--model", model, "--out", folder)
        made = timed(command, "written")  # the same command once: its arguments are the run's now
        rounds = [timed(command, "nothing has changed") for _ in range(ROUNDS)]
        with Store(folder, write=False) as store:
            assert store.frame("SELECT count(*) AS n FROM responses")["n"][0] == answers == ITEMS
    found, alone = middle(rounds), middle([timed(harness("--help")) for _ in range(ROUNDS)])
    imports = middle([timed([harness()[0], "-c", "import torch, transformers"]) for _ in range(ROUNDS)])
    write_section(
        "e. Resume of a finished run",
        f"""`python benchmarks/peers/resume.py`: `harness run` again on a finished run of {ITEMS:,} items, whole
process, median of {ROUNDS}; nothing is inferred, scored or written. Target: 3 s. The first row is a command whose
arguments differ from those the run was made with, so that exports, leaderboard and report are made anew.

| | processor, s | wall, s |
|---|--:|--:|
| `harness run`, all answers there, tables made anew (once) | {made.cpu:.2f} | {made.wall:.2f} |
| `harness run`, everything there | {found.cpu:.2f} | {found.wall:.2f} |
| `import torch, transformers`, for comparison | {imports.cpu:.2f} | {imports.wall:.2f} |
| `harness --help`, for comparison | {alone.cpu:.2f} | {alone.wall:.2f} |
""",
    )


if __name__ == "__main__":
    main()
