"""Optimizer steps on the same models, questions and response tokens: ours of four kinds, and trl's DistillationTrainer.

    python benchmarks/training_steps.py [SETTING ...]     writes benchmarks/results/training_steps.md (other rows stay)

trl samples its own responses; here it is given the stored ones instead (nothing else of it is changed), so its step is
tokenising, processing, student and teacher forward, JSD, backward, AdamW, as ours is. In each round trl and our kinds
take a step, one after the other, on the round's own questions; the table has medians. Memory: what a process that does
two steps of one kind grew by after its models were loaded.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from conditions import BESIDE
from step_parts import GROUP, RESPONSE, Ours, Round, checkpoint, groups, pictures
from trl_steps import check_prompts, trl_trainer

RESULTS = Path(__file__).parent / "results" / "training_steps.md"
KINDS, WARM = ("live", "unpacked", "cached", "sft"), 1


class Setting(NamedTuple):
    """Tiles of a picture (None: the embedded ladder, one small tile), questions a step, rounds."""

    tiles: tuple[int, int] | None
    questions: int
    rounds: int


SETTINGS = {
    "embedded student, large teacher": Setting(None, 20, 9),
    "5 M, 7 tiles": Setting((3, 2), 4, 9),
    "5 M, 31 tiles": Setting((6, 5), 1, 9),
}


def rounds_of(setting: Setting, words: int, number: int) -> list[Round]:
    """The questions of each round; none comes twice, so that nothing is remembered from one to the next."""
    shown = pictures(setting.tiles or (1, 1), setting.questions * number)
    parts = [shown[at * setting.questions :][: setting.questions] for at in range(number)]
    return [Round(part, groups(part, words, place)) for place, part in enumerate(parts)]


def models(setting: Setting, folder: Path) -> tuple[str, str]:
    """Folders of student and teacher."""
    if setting.tiles is None:
        from harness.models.load import resolve

        return str(resolve("embedded/student")), str(resolve("embedded/large"))
    return str(checkpoint(folder, 0)), str(checkpoint(folder, 1))


def timed(name: str, kind: str = "") -> str:
    """A row of the table; with a kind, only the MiB that two steps of it grew this process by."""
    setting = SETTINGS[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        student, teacher = models(setting, folder)
        ours = Ours(student, teacher, folder, per_batch=20)
        number = 2 if kind else setting.rounds + WARM
        rounds = rounds_of(setting, ours.words, number)
        spent: dict[str, list[float]] = {kind: [] for kind in KINDS}

        def between(turn: int) -> None:
            for of in () if kind else KINDS[turn % 4 :] + KINDS[: turn % 4]:
                started = time.perf_counter()
                ours.step(of, rounds[turn].asked, turn)
                spent[of].append(time.perf_counter() - started)

        if kind in ("", "live", "unpacked", "cached"):
            ours.resident()
        if kind in ("", "cached"):
            for part in rounds:
                ours.fill(part.asked)
        if kind and kind != "trl":
            return memory(lambda: [ours.step(kind, part.asked, turn) for turn, part in enumerate(rounds)])
        trainer = trl_trainer(student, teacher, rounds, between, folder)
        if kind:
            return memory(trainer.train)
        trainer.train()
        prefix = check_prompts(trainer, ours, rounds)
        steps = {of: statistics.median(times[WARM:]) for of, times in {**spent, "trl": trainer.seconds}.items()}
    grown = [subprocess.run([sys.executable, __file__, name, of], check=True, capture_output=True, text=True).stdout
             for of in ("trl", *KINDS)]  # fmt: skip
    return (
        f"| {name} | {prefix} | {setting.questions} | {steps['trl']:.3f} | {steps['unpacked']:.3f} "
        f"| {steps['live']:.3f} | {steps['cached']:.3f} | {steps['sft']:.3f} | {steps['trl'] / steps['live']:.2f} "
        f"| {steps['trl'] / steps['cached']:.2f} | {steps['cached'] / steps['sft']:.2f} "
        f"| {' / '.join(one.split()[-1] for one in grown)} |"
    )


def memory(work: Callable[[], object]) -> str:
    """MiB that the process's largest size grew by over its size before."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the largest size so far is forgotten
    before = largest()
    work()
    return f"{largest() - before:.0f}"


def largest() -> float:
    """The largest size of the process, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def main(chosen: list[str]) -> None:
    """Measure and write the table."""
    import trl

    lines = [
        "# Training steps: Masters, SFT, and trl's DistillationTrainer",
        "",
        f"Seconds of one optimizer step on the same models, prompts (equal token for token) and responses ({GROUP} of "
        f"{RESPONSE} tokens a question), fp32, one thread; medians of {SETTINGS['5 M, 31 tiles'].rounds} paired rounds "
        f"after a first that is not counted; `python benchmarks/training_steps.py`; trl {trl.__version__}, "
        f"{platform.machine()}, {BESIDE}. `trl`: teacher in memory, no reward, no reference. `unpacked`, "
        "`live`: Eq. 8 with teacher and reference in memory. `cached`: both from disk, filled before. `SFT`: -log p of "
        "the same packed tokens. Filling the caches costs, once, what `live` costs more than `cached`. trl takes a row "
        "a response, processes each row's image twice, and on a CPU computes its divergence by the plain-torch "
        "fallback of its Triton kernels; a GPU gives other ratios. MiB: growth of a process in two steps.",
        "",
        "| models | prompt tokens | questions | trl | unpacked | live | cached | SFT | trl / live | trl / cached "
        "| cached / SFT | MiB: trl / live / unpacked / cached / SFT |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    kept = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.is_file() else []
    for name in SETTINGS:
        before = [line for line in kept if line.startswith(f"| {name} |")]
        lines += [timed(name)] if name in (chosen or SETTINGS) else before
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[2] in ("trl", *KINDS):
        print(timed(*sys.argv[1:]))
    else:
        main(sys.argv[1:])
