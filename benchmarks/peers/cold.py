"""(d) Cold starts: the time until help or a list of tasks is shown."""

from __future__ import annotations

from pathlib import Path

from processes import Spent, harness, middle, timed, write_section
from throughput import HERE, lmms_eval_environment

from harness.bridges.environments import FRAMEWORKS, install

ROUNDS = 2


def main() -> None:
    """Measure and write the section; the sides take turns."""
    theirs, _ = lmms_eval_environment()
    other = install(FRAMEWORKS["vlmeval"])
    commands: dict[str, tuple[list[str | Path], str]] = {
        "`harness --help`": (harness("--help"), "0.3"),
        "`harness tasks`": (harness("tasks"), "0.5"),
        "`lmms_eval --help`": ([theirs, "-m", "lmms_eval", "--help"], ""),
        "`lmms_eval --tasks list`": ([theirs, "-m", "lmms_eval", "--tasks", "list"], ""),
        "VLMEvalKit `run.py --help`": ([other, HERE / "vlmeval_on_cpu.py", "--help"], ""),
    }
    rounds: dict[str, list[Spent]] = {name: [] for name in commands}
    for turn in range(ROUNDS + 1):
        for name, (command, _) in commands.items():
            spent = timed(command)
            rounds[name] += [spent] if turn else []  # the first turn fills the disk cache
    lines = [
        f"`python benchmarks/peers/cold.py`: medians of {ROUNDS} processes after one that fills the disk cache.",
        "",
        "| command | processor, s | wall, s | target, s |",
        "|---|--:|--:|--:|",
    ]
    for name, found in rounds.items():
        cpu, wall = middle(found)
        lines.append(f"| {name} | {cpu:.2f} | {wall:.2f} | {commands[name][1]} |")
    write_section("d. Cold starts", "\n".join(lines))


if __name__ == "__main__":
    main()
