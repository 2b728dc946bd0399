"""Stage evaluation: k stages of one recipe in one process, beside separate `harness run` and lmms-eval processes."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from inputs import TOKENS, WORK, Inputs, inputs
from processes import Spent, middle, timed, write_section
from throughput import lmms_eval, ours

ITEMS, ROUNDS, BATCH = 400, 2, 64
STAGES = (1, 10, 30)
KEPT = WORK / "stages.json"


def in_one_process(made: Inputs, stages: int, folder: Path) -> None:
    """As `harness run --recipe` does it: one module whose weights change, one Preprocessor, one store, one report."""
    from harness import deferred

    deferred.enable()  # first of all, as the command does
    import torch

    from harness.evaluation import Evaluator, finish_run
    from harness.models.hf import HFModel
    from harness.models.load import load_module, load_processor
    from harness.models.preprocess import Preprocessor
    from harness.report.html import write_report
    from harness.store import Store

    torch.set_num_threads(1)
    module = load_module(made.checkpoint, "cpu", "bfloat16", "auto")
    preprocessor = Preprocessor(load_processor(made.checkpoint))
    with Store(folder) as store:
        evaluator = Evaluator(store, data=made.folder, protocol="lmms-eval@0.7.2")
        for stage in range(stages):
            with torch.no_grad():
                module.lm_head.weight.mul_(1.01)  # another stage: other weights, the same length of answers
            model = HFModel(module, preprocessor, name="stages")
            [result] = evaluator.evaluate(model, ["chartqa"], label=f"stage {stage}")
            assert result.inferred == result.items == made.size
        finish_run(store, {})
    write_report(folder, folder / "report.html")
    print(stages, "stages evaluated")


def main() -> None:
    """Measure and write the section."""
    made = inputs(ITEMS)
    found: dict[str, list[Spent]] = {}
    for _ in range(ROUNDS):
        for stages in STAGES:
            with tempfile.TemporaryDirectory() as out:
                spent = timed([sys.executable, __file__, str(stages), out], "stages evaluated")
            found.setdefault(str(stages), []).append(spent)
        found.setdefault("run", []).extend(ours(made, 0) for _ in range(2))
        found.setdefault("lmms-eval", []).append(lmms_eval(made, BATCH))
        print({name: [round(s.cpu, 2) for s in each] for name, each in found.items()}, flush=True)
    KEPT.write_text(json.dumps({name: middle(each) for name, each in found.items()}))
    one, ten, thirty = (middle(found[str(stages)]) for stages in STAGES)
    run, theirs = middle(found["run"]), middle(found["lmms-eval"])
    further = median((b.cpu - a.cpu) / 29 for a, b in zip(found["1"], found["30"], strict=True))
    rows = []
    for stages, ours_ in ((10, ten), (30, thirty)):
        rows.append(f"| {stages} stages in one process | {ours_.cpu:.2f} | {ours_.wall:.2f} | 1.0 |")
        for name, each in (("`harness run`", run), (f"lmms-eval (batches of {BATCH})", theirs)):
            cpu, wall = stages * each.cpu, stages * each.wall
            rows.append(f"| {stages} {name} processes | {cpu:.1f} | {wall:.1f} | {cpu / ours_.cpu:.1f} |")
    lines = [
        f"`python benchmarks/peers/stages.py`: {ITEMS} real items, {TOKENS} new tokens each, Qwen2.5-VL of two layers,",
        f"bfloat16, {ROUNDS} rounds, medians. In one process a stage is evaluated through the live module, as a recipe",
        "does it: data, prompts and images are prepared once. Ten or thirty separate processes are ten or thirty times",
        f"one of them ({len(found['run'])} and {len(found['lmms-eval'])} were measured).",
        "",
        "| | processor, s | wall, s | times one process |",
        "|---|--:|--:|--:|",
        *rows,
        "",
        f"One stage alone costs {one.cpu:.2f} s, a further one {further:.2f} s, {1000 * further / ITEMS:.1f} ms an",
        "item. Target: ten stages at least 5 times cheaper than ten runs of lmms-eval.",
    ]
    write_section("i. Stages of one recipe", "\n".join(lines))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        in_one_process(inputs(ITEMS), int(sys.argv[1]), Path(sys.argv[2]))
    else:
        main()
