"""One of two processes that mask a teacher in pieces (ZeRO-3) and compare it, gathered, with the whole teacher masked.

`python -m torch.distributed.run --nproc-per-node 2 tests/several_masks.py MODELS`; the first process prints JSON.
"""

import json
import sys
from pathlib import Path

import deepspeed
import torch
import trainer_runs

from trainers.mask_scope import shape_of
from trainers.models import Teachers
from trainers.recipe import Masking

KINDS = [
    {}, {"scope": "all_2d"}, {"threshold": "global"}, {"criterion": "random"}, {"criterion": "wanda"},
]  # fmt: skip


def whole(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter of a module in pieces."""
    found = {}
    for name, parameter in module.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter]):
            found[name] = parameter.detach().clone()
    return found


def main(models: Path) -> None:
    """Mask both ways, one kind after the other: each mask but the first follows one that is undone."""
    given = trainer_runs.context(trainer_runs.recipe(models, "sft", **{"train.engine": "zero3"}), models / "unused")
    train, name = trainer_runs.recipe(models, "sft").train, str(models / "internvl-1")
    together, alone = given.teachers, Teachers(train, torch.device("cpu"))
    said = {}
    for kind in KINDS:
        masking = Masking(**kind)
        calibration = [given.data.train[n] for n in range(3)] if masking.criterion == "wanda" else []
        for ratio in (0.35, 0.2):
            ours = together.at(name, ratio, masking, calibration)
            theirs = alone.at(name, ratio, masking, calibration)
            found, expected = whole(ours.module), dict(theirs.module.named_parameters())
            said[f"{kind} {ratio}"] = {
                "shapes": all(shape_of(p) == tuple(expected[n].shape) for n, p in ours.module.named_parameters()),
                "different": [n for n, value in found.items() if not torch.equal(value, expected[n])],
                "report": ours.report == theirs.report,
                "fingerprint": ours.fingerprint == theirs.fingerprint,
            }
    if given.accelerator.is_main_process:
        print("FOUND " + json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
