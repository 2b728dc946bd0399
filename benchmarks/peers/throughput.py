"""(a) The whole command on the same checkpoint and items: ours, lmms-eval, VLMEvalKit and a bare loop.

python benchmarks/peers/throughput.py [FAMILY] [ROUNDS]     a measurement that is cut off goes on
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median

from inputs import FAMILIES, MAX_PIXELS, MIN_PIXELS, TOKENS, WORK, Inputs, inputs, pool, vlmeval_config, write_task
from processes import Spent, harness, middle, timed, write_section

from harness.bridges.environments import FRAMEWORKS, install

HERE = Path(__file__).resolve().parent
SIZES, ROUNDS = (100, 400), 3
BATCHES = (16, 32, 64)
TITLES = {"qwen2_5_vl": "Qwen2.5-VL", "internvl": "InternVL"}
LMMS_EVAL = {
    "qwen2_5_vl": ("qwen2_5_vl", f"min_pixels={MIN_PIXELS},max_pixels={MAX_PIXELS}"),
    "internvl": ("internvl_hf", "max_patches=4"),  # as the checkpoint's own processor; the class takes batches of one
}


def kept(family: str) -> Path:
    """The batch sizes, then a line a round: a measurement that is cut off goes on."""
    return WORK / f"throughput-{family}.jsonl"


def ours(made: Inputs, _: int) -> Spent:
    """`harness run` into a new folder: data, inference, scoring, tables, report."""
    with tempfile.TemporaryDirectory() as out:
        return timed(
            harness("run", "--tasks", "chartqa", "--data", made.folder, "--model", made.checkpoint, "--protocol",
                    "lmms-eval@0.7.2", "--backend-option", "dtype=bfloat16", "--out", out), "chartqa",
        )  # fmt: skip


def bare(made: Inputs, rows: int) -> Spent:
    """A script that loads the model and loops over batches; no data handling beyond the TSV, no scores."""
    return timed([sys.executable, HERE / "bare_process.py", str(made.size), str(rows), made.checkpoint.name], "answers")


@cache
def lmms_eval_environment() -> tuple[Path, Path]:
    """Its python and its package's folder. Its Qwen2.5-VL class imports decord, which its package does not ask for."""
    python = install(FRAMEWORKS["lmms-eval"])
    if subprocess.run([python, "-c", "import decord"], capture_output=True, check=False).returncode:
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "decord"], check=True)
    code = "import importlib.util as u; print(u.find_spec('lmms_eval').submodule_search_locations[0])"
    return python, Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())


def lmms_eval(made: Inputs, rows: int) -> Spent:
    """`python -m lmms_eval` on its own ChartQA task over a local file."""
    python, package = lmms_eval_environment()
    kind, options = LMMS_EVAL[made.checkpoint.name]
    model = f"pretrained={made.checkpoint},device=cpu,device_map=cpu,{options}"
    with tempfile.TemporaryDirectory() as out:
        return timed(
            [python, "-m", "lmms_eval", "--model", kind, "--model_args", model, "--tasks",
             write_task(made.folder, package), "--include_path", made.folder / "tasks", "--batch_size", str(rows),
             "--log_samples", "--output_path", out], "relaxed_overall",
        )  # fmt: skip


def vlmeval(made: Inputs, _: int) -> Spent:
    """`run.py --config` of VLMEvalKit: its Qwen2VLChat takes one item at a time."""
    python = install(FRAMEWORKS["vlmeval"])
    with tempfile.TemporaryDirectory() as out:
        config = Path(out) / "config.json"
        vlmeval_config(made, config)
        return timed(
            [python, HERE / "vlmeval_on_cpu.py", "--config", config, "--work-dir", out], "Overall",
            {"LMUData": str(made.folder)},
        )  # fmt: skip


Side = Callable[[Inputs, int], Spent]
SIDES: dict[str, dict[str, Side]] = {
    "qwen2_5_vl": {"harness run": ours, "bare loop": bare, "lmms-eval": lmms_eval, "VLMEvalKit": vlmeval},
    "internvl": {"harness run": ours, "bare loop": bare, "lmms-eval": lmms_eval},  # VLMEvalKit's needs remote code
}


def best_batches(made: Inputs) -> dict[str, int]:
    """The batch size at which each side that has one is fastest (processor seconds of one whole process)."""
    sides = SIDES[made.checkpoint.name]
    rows = dict.fromkeys(sides, 0) | {"lmms-eval": 1}
    for name in ("bare loop", "lmms-eval") if made.checkpoint.name == "qwen2_5_vl" else ("bare loop",):
        found = {size: sides[name](made, size).cpu for size in BATCHES}
        print(name, {size: round(value, 2) for size, value in found.items()}, flush=True)
        rows[name] = min(found, key=found.__getitem__)
    return rows


def measure(family: str, rounds: int) -> None:
    """Choose the batch sizes once, then add rounds to the kept ones."""
    small, large = (inputs(size, family) for size in SIZES)
    sides, file = SIDES[family], kept(family)
    if not file.exists():
        for name, side in sides.items():
            if name != "bare loop":
                side(small, 1)  # fills every side's caches: converted data, images, bytecode
        ours(large, 0)
        file.write_text(json.dumps(best_batches(large)) + "\n")
    rows = json.loads(file.read_text().splitlines()[0])
    for _ in range(rounds):
        spent = {f"{name} {made.size}": sides[name](made, rows[name]) for made in (small, large) for name in sides}
        print({name: [round(value, 2) for value in clocks] for name, clocks in spent.items()}, flush=True)
        with file.open("a") as out:
            out.write(json.dumps(spent) + "\n")


def table(family: str) -> list[str]:
    """One family's rows from all kept rounds."""
    first, *rest = map(json.loads, kept(family).read_text().splitlines())
    spent = [{key: Spent(*value) for key, value in line.items()} for line in rest]
    small, large = SIZES
    lines = [
        f"**{TITLES[family]}**, {len(spent)} rounds:",
        "",
        f"| side | batch | {small} items, s | {large} items, s | {large} items, wall s | fixed, s | ms an item |"
        " items/s beyond fixed | its time / ours, whole process | its wall / ours |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in SIDES[family]:
        few, many = (middle([r[f"{name} {size}"] for r in spent]) for size in SIZES)
        cost = median(per_item(r[f"{name} {small}"], r[f"{name} {large}"]) for r in spent)
        whole = Spent(*(median(r[f"{name} {large}"][k] / r[f"harness run {large}"][k] for r in spent) for k in (0, 1)))
        lines.append(
            f"| {name} | {first[name] or 'own'} | {few.cpu:.2f} | {many.cpu:.2f} | {many.wall:.2f} |"
            f" {few.cpu - small * cost:.2f} | {1000 * cost:.2f} | {1 / cost:.0f} | {whole.cpu:.2f} | {whole.wall:.2f} |"
        )
    return [*lines, ""]


def write() -> None:
    """Write the section from what is kept."""
    lines = [
        f"`python benchmarks/peers/throughput.py`: random models of two layers in bfloat16, {pool()[1]},",
        f"{TOKENS} new tokens each, at most {MAX_PIXELS} pixels, on one core. Whole processes from start to end, in",
        "processor seconds; an item's cost is the difference of the two sizes, fixed is the rest; ratios are medians",
        f"over the rounds. Batch: the fastest of {BATCHES} where one can be chosen (ours is a number of tokens,",
        "VLMEvalKit takes one item at a time, and so does lmms-eval's InternVL). VLMEvalKit's class wants CUDA:",
        "benchmarks/peers/vlmeval_on_cpu.py sends it to the CPU and changes nothing else. Target: twice lmms-eval and",
        "5 times VLMEvalKit for whole processes; 1,500 items are in section j.",
        "",
    ]
    for family in FAMILIES:
        if kept(family).exists() and len(kept(family).read_text().splitlines()) > 1:
            lines += table(family)
    write_section("a. Throughput of the whole command", "\n".join(lines))


def per_item(few: Spent, many: Spent) -> float:
    """Processor seconds of an item more."""
    return (many.cpu - few.cpu) / (SIZES[1] - SIZES[0])


if __name__ == "__main__":
    measure(sys.argv[1] if len(sys.argv) > 1 else FAMILIES[0], int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)
    write()
