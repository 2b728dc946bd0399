"""`harness plan` against trainings that ran here: parameters, tokens, peak memory and disk.

    python benchmarks/plan_check.py           writes benchmarks/results/plan_check.md

Each training runs in a process of its own: the embedded ladder as shipped, and InternVL and Qwen2.5-VL checkpoints of
about 5 M parameters with random weights, whose answers run to the token limit (so the plan is told that length).
Memory is the highest resident size over that after all imports.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "plan_check.md"
SAID = 16  # tokens of a response of the random models
#: Freed memory goes back at once, so that the resident size is what is in use.
ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536"}
#: name -> base recipe (a ready one, or the family of a checkpoint made here), method, settings
CELLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ladder, Masters": ("embedded", "masters", {"data.questions": 96}),
    "ladder, gold answers": ("embedded", "mask-only", {"data.questions": 96}),
    "InternVL 5 M": ("internvl", "masters", {}),
    "InternVL 5 M, checkpointing": ("internvl", "masters", {"train.gradient_checkpointing": True}),
    "InternVL 5 M, cached teacher": ("internvl", "masters", {"train.teacher": "cached"}),
    "Qwen2.5-VL 5 M": ("qwen2_5_vl", "masters", {}),
}  # fmt: skip


def checkpoint(family: str, folder: Path, width: int, layers: int, seed: int) -> Path:
    """A random checkpoint of a family with a language model of this width, and the processor of the tests' tiny one."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    import tiny_models
    import torch
    import transformers

    small = tiny_models.checkpoint(family, folder)
    config = json.loads((small / "config.json").read_text())
    config["text_config"] |= {
        "hidden_size": width, "intermediate_size": width * 8 // 3, "num_hidden_layers": layers, "head_dim": 32,
        "num_attention_heads": width // 32, "num_key_value_heads": width // 64, "initializer_range": 0.02,
    }  # fmt: skip
    config["text_config"].pop("layer_types", None)
    if family != "internvl":
        config["vision_config"]["out_hidden_size"] = width
    torch.manual_seed(seed)
    made = transformers.AutoConfig.for_model(config.pop("model_type"), **config)
    out = folder / f"{family}-{width}"
    transformers.AutoModelForImageTextToText.from_config(made).save_pretrained(out)
    transformers.AutoProcessor.from_pretrained(small).save_pretrained(out)
    return out


def recipe_of(name: str, folder: Path) -> Any:
    """The recipe of a cell, with its one method."""
    from trainers.recipe import Recipe
    from trainers.recipe_file import load_recipe

    base, method, settings = CELLS[name]
    if base == "embedded":
        changed = {**load_recipe(base).model_dump(), "methods": [{"name": method, "set": {}}]}
        return Recipe.model_validate(changed).override(settings, name)
    student, teacher = checkpoint(base, folder, 256, 6, 0), checkpoint(base, folder, 320, 6, 1)
    return Recipe.model_validate({
        "name": "check", "student": {"model": str(student)},
        "teachers": [{"model": str(teacher), "r_max": 0.0}],
        "responses": {"sampling": {"max_new_tokens": SAID}},
        "data": {"sources": ["mini:chartqa,mmstar"], "questions": 8},
        "reward": {"judge": {"grade": "task"}}, "optimizer": {"questions_per_step": 4}, "methods": [method],
        "train": {"precision": "fp32", "gradient_checkpointing": False, "questions_per_batch": 2},
    }).override(settings, name)  # fmt: skip


def resident(peak: bool) -> int:
    """Bytes of this process in memory now, or its peak since the last reset."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(
        next(line for line in status.splitlines() if line.startswith("VmHWM" if peak else "VmRSS")).split()[1]
    )


def measure(name: str, folder: Path) -> dict[str, float]:
    """Train a cell's recipe and return what it used, beside what the plan says."""
    import torch

    import trainers.loop  # noqa: F401  (the baseline is the process with everything imported)
    from harness import registry
    from trainers.context import open_context
    from trainers.planning.assemble import make_plan
    from trainers.planning.machine import machine
    from trainers.planning.stages import PHASES
    from trainers.planning.workload import Assumptions
    from trainers.run import Plan

    torch.set_num_threads(1)
    warm_up(folder / "warm")
    recipe = recipe_of(name, folder)
    method = recipe.methods[0].name
    said = 0.0 if CELLS[name][0] == "embedded" else float(SAID)
    made = make_plan(
        Plan(recipe, (), "mini", None),
        machine("cpu", 1),
        Assumptions(response_tokens=said, uncertain_share=1.0 if said else 0.4),
    )
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what the warm-up has freed is no room for the training
    baseline = resident(False)
    Path("/proc/self/clear_refs").write_text("5")
    out = folder / "run"
    state = Largest(out / method / "seed0" / "state")
    state.start()
    begun = time.perf_counter()
    stages = list(registry.load("trainers", method).run(recipe, open_context(recipe, out, method, 0)))
    seconds = time.perf_counter() - begun
    peak = resident(True) - baseline
    state.done.set()
    planned = {part.name: part.value for part in made.disk}
    student = stages[-1].model.module
    return {
        "parameters": made.setting.models[recipe.student.model].parameters,
        "parameters here": sum(p.numel() for p in student.parameters()),
        "tokens": sum(stage.value("response tokens") for stage in made.stages),
        "tokens here": stages[-1].budget["student_tokens"],
        "memory": made.memory[method][-1].value, "memory here": peak,
        "Gen-Data": planned["Gen-Data"], "Gen-Data here": size(out / "gen"),
        "teacher cache": planned["teacher cache"], "teacher cache here": size(out / "teacher"),
        "checkpoints": planned["checkpoints"], "checkpoints here": size(out / "checkpoints"),
        "state": planned["training state"] / 2, "state here": state.bytes,
        "seconds": sum(stage.seconds(phase, 1) for stage in made.stages for phase in PHASES if phase != "evaluation"),
        "seconds here": seconds,
        "response here": stages[-1].budget["student_tokens"] / max(1, stages[-1].budget["responses"]),
    }  # fmt: skip


def warm_up(folder: Path) -> None:
    """A training of a few steps: what it imports on the way belongs to the baseline."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    import trainer_runs

    folder.mkdir()
    settings = {"train.gradient_checkpointing": True, "train.teacher": "cached", "data.questions": 3}
    trainer_runs.run(trainer_runs.recipe(folder, "masters", **settings, **{"teachers.0.r_max": 0.0}), folder / "run")


class Largest(threading.Thread):
    """Watches the largest of a folder's entries (one state) while the training runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.bytes, self.done = folder, 0, threading.Event()

    def run(self) -> None:
        """Look ten times a second."""
        while not self.done.wait(0.1):
            with contextlib.suppress(FileNotFoundError):
                self.bytes = max(self.bytes, *map(size, self.folder.iterdir()))


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rows(name: str, found: dict[str, float]) -> list[str]:
    """The table's rows of a cell."""
    lines = []
    for figure in [key for key in found if f"{key} here" in found]:
        planned, here = found[figure], found[f"{figure} here"]
        if planned > 0 and here > (0 if figure == "seconds" else 500):
            lines.append(f"| {name} | {figure} | {planned:,.0f} | {here:,.0f} | {planned / here:.2f} |")
    return lines


def main(names: list[str]) -> None:
    """Measure the cells (all, or the named ones) and put their rows into the table."""
    old = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    table = {name: [line for line in old if line.startswith(f"| {name} |")] for name in CELLS}
    for name in names or CELLS:
        with tempfile.TemporaryDirectory() as folder:
            call = [sys.executable, __file__, "--cell", name, folder]
            done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **ALLOCATOR})
        table[name] = rows(name, json.loads(done.stdout.splitlines()[-1]))
        print("\n".join(table[name]), flush=True)
        lines = [*HEAD, *(row for part in table.values() for row in part)]
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


HEAD = [
    "# `harness plan` against trainings that ran here",
    "",
    "`python benchmarks/plan_check.py`; one core, float32; bytes, and response tokens of a training. Memory is the "
    "peak resident size over the process with all imports. A state is half of what is planned for while the next is "
    "written beside it. The ladder's response length is that of the gold answers; that of the random models is "
    "their limit of 16 tokens. Seconds are of generation and training, planned with the shares that a GPU program "
    "reaches: a model this small spends its time elsewhere, so they are shown, not claimed.",
    "",
    "| training | figure | planned | measured | planned / measured |",
    "|---|---|---|---|---|",
]

if __name__ == "__main__":
    if sys.argv[1:2] == ["--cell"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        main(sys.argv[1:])
