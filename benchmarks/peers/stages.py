"""Stage evaluation: k stages of one recipe in one process against k separate `harness run` processes."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from inputs import TOKENS, Inputs, inputs
from processes import Spent, harness, middle, timed, write_section

ITEMS, ROUNDS = 400, 2
STAGES = (1, 5)
PROTOCOL = "lmms-eval@0.7.2"


def in_one_process(made: Inputs, stages: int, folder: Path) -> None:
    """As a recipe does it: one live module whose weights change, one Preprocessor, one Evaluator, one store."""
    import torch

    from harness.evaluation import Evaluator, finish_run
    from harness.models.hf import HFModel
    from harness.models.load import load_module, load_processor
    from harness.models.preprocess import Preprocessor
    from harness.store import Store

    torch.set_num_threads(1)
    module = load_module(made.checkpoint, "cpu", "bfloat16", "auto")
    preprocessor = Preprocessor(load_processor(made.checkpoint))
    with Store(folder) as store:
        evaluator = Evaluator(store, data=made.folder, protocol=PROTOCOL)
        for stage in range(stages):
            with torch.no_grad():
                module.lm_head.weight.mul_(1.01)  # another stage: other weights, the same length of answers
            model = HFModel(module, preprocessor, name="stages")
            [result] = evaluator.evaluate(model, ["chartqa"], label=f"stage {stage}")
            assert result.inferred == result.items == made.size
        finish_run(store, {})
    print(stages, "stages evaluated")


def main() -> None:
    """Measure and write the section."""
    made = inputs(ITEMS)
    few, many = STAGES
    rounds: list[dict[int, Spent]] = []
    apart: list[Spent] = []
    for _ in range(ROUNDS):
        found = {}
        for stages in STAGES:
            with tempfile.TemporaryDirectory() as out:
                found[stages] = timed([sys.executable, __file__, str(stages), out], "stages evaluated")
        rounds.append(found)
        runs = []
        for _ in range(many):
            with tempfile.TemporaryDirectory() as out:
                given = ("--data", made.folder, "--model", made.checkpoint, "--protocol", PROTOCOL, "--out", out)
                command = harness("run", "--tasks", "chartqa", "--backend-option", "dtype=bfloat16", *given)
                runs.append(timed(command, "chartqa"))
        apart.append(Spent(*map(sum, zip(*runs, strict=True))))
        print(rounds[-1], apart[-1], flush=True)
    one, all_ = (middle([r[stages] for r in rounds]) for stages in STAGES)
    separate = middle(apart)
    ratio = median(a.cpu / r[many].cpu for a, r in zip(apart, rounds, strict=True))
    further = (all_.cpu - one.cpu) / (many - few)
    write_section(
        "i. Stages of one recipe",
        f"""`python benchmarks/peers/stages.py`: {ITEMS} items, {TOKENS} new tokens each, {ROUNDS} paired rounds. In one
process a stage is evaluated through the live module, as a recipe does it: data, prompts and images are prepared once.

| | processor, s | wall, s |
|---|--:|--:|
| one process, {few} stage | {one.cpu:.2f} | {one.wall:.2f} |
| one process, {many} stages | {all_.cpu:.2f} | {all_.wall:.2f} |
| {many} `harness run` processes | {separate.cpu:.2f} | {separate.wall:.2f} |

A further stage costs {further:.2f} s instead of {separate.cpu / many:.2f} s; {many} stages are **{ratio:.1f} times**
cheaper in one process, and {separate.cpu / many / further:.1f} times in the limit of many stages.
""",
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        in_one_process(inputs(ITEMS), int(sys.argv[1]), Path(sys.argv[2]))
    else:
        main()
