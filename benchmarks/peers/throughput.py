"""(a) The whole command on the same checkpoint and items: ours, lmms-eval, VLMEvalKit and a bare loop."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median

from inputs import MAX_PIXELS, MIN_PIXELS, TOKENS, WORK, Inputs, inputs, pool, vlmeval_config, write_task
from processes import Spent, harness, middle, timed, write_section

from harness.bridges.environments import FRAMEWORKS, install

HERE = Path(__file__).resolve().parent
SIZES, ROUNDS = (100, 400), 3
BATCHES = (16, 32, 64)
KEPT = WORK / "throughput.jsonl"  # the batch sizes, then a line a round: a measurement that is cut off goes on


def ours(made: Inputs, _: int) -> Spent:
    """`harness run` into a new folder: data, inference, scoring, tables, report."""
    with tempfile.TemporaryDirectory() as out:
        return timed(
            harness("run", "--tasks", "chartqa", "--data", made.folder, "--model", made.checkpoint, "--protocol",
                    "lmms-eval@0.7.2", "--backend-option", "dtype=bfloat16", "--out", out), "chartqa",
        )  # fmt: skip


def bare(made: Inputs, rows: int) -> Spent:
    """A script that loads the model and loops over batches; no data handling beyond the TSV, no scores."""
    return timed([sys.executable, HERE / "bare_process.py", str(made.size), str(rows)], "answers")


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
    model = f"pretrained={made.checkpoint},device=cpu,device_map=cpu,min_pixels={MIN_PIXELS},max_pixels={MAX_PIXELS}"
    with tempfile.TemporaryDirectory() as out:
        return timed(
            [python, "-m", "lmms_eval", "--model", "qwen2_5_vl", "--model_args", model, "--tasks",
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


SIDES: dict[str, Callable[[Inputs, int], Spent]] = {
    "harness run": ours, "bare loop": bare, "lmms-eval": lmms_eval, "VLMEvalKit": vlmeval,
}  # fmt: skip


def best_batches(made: Inputs) -> dict[str, int]:
    """The batch size at which each side that has one is fastest (processor seconds of one whole process)."""
    rows = dict.fromkeys(SIDES, 0)
    for name in ("bare loop", "lmms-eval"):
        found = {size: SIDES[name](made, size).cpu for size in BATCHES}
        print(name, {size: round(value, 2) for size, value in found.items()}, flush=True)
        rows[name] = min(found, key=found.__getitem__)
    return rows


def measure(rounds: int) -> None:
    """Choose the batch sizes once, then add rounds to the kept ones."""
    small, large = (inputs(size) for size in SIZES)
    if not KEPT.exists():
        for name, side in SIDES.items():
            if name != "bare loop":
                side(large, 16), side(small, 16)  # fills every side's caches: converted data, images, bytecode
        KEPT.write_text(json.dumps(best_batches(large)) + "\n")
    rows = json.loads(KEPT.read_text().splitlines()[0])
    for _ in range(rounds):
        spent = {f"{name} {made.size}": SIDES[name](made, rows[name]) for made in (small, large) for name in SIDES}
        print(spent, flush=True)
        with KEPT.open("a") as file:
            file.write(json.dumps(spent) + "\n")


def table() -> None:
    """Write the section from all kept rounds."""
    first, *rest = map(json.loads, KEPT.read_text().splitlines())
    spent = [{key: Spent(*value) for key, value in line.items()} for line in rest]
    small, large = SIZES
    lines = [
        f"`python benchmarks/peers/throughput.py`: a random Qwen2.5-VL of two layers in bfloat16, {pool()[1]},",
        f"{TOKENS} new tokens each, at most {MAX_PIXELS} pixels; {len(spent)} rounds after one that fills every cache.",
        "Whole processes from start to end; an item's cost is the difference of the two sizes, fixed is the rest; the",
        f"ratios are medians over the rounds, of processor seconds. Batch: the fastest of {BATCHES}",
        "where one can be chosen (ours is a number of tokens, VLMEvalKit takes one item at a time). VLMEvalKit's class",
        "wants CUDA: benchmarks/peers/vlmeval_on_cpu.py sends it to the CPU and changes nothing else.",
        "",
        f"| side | batch | {small} items, s | {large} items, s | {large} items, wall s | fixed, s | ms an item |"
        " items/s beyond fixed | its time / ours, whole process | its time / ours, an item |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    costs = {n: [per_item(r[f"{n} {small}"], r[f"{n} {large}"]) for r in spent] for n in SIDES}
    for name in SIDES:
        few, many = (middle([r[f"{name} {size}"] for r in spent]) for size in SIZES)
        cost = median(costs[name])
        whole = median(r[f"{name} {large}"].cpu / r[f"harness run {large}"].cpu for r in spent)
        each = median(theirs / own for theirs, own in zip(costs[name], costs["harness run"], strict=True))
        lines.append(
            f"| {name} | {first[name] or 'own'} | {few.cpu:.2f} | {many.cpu:.2f} | {many.wall:.2f} |"
            f" {few.cpu - small * cost:.2f} | {1000 * cost:.2f} | {1 / cost:.0f} | {whole:.2f} | {each:.2f} |"
        )
    write_section("a. Throughput of the whole command", "\n".join(lines))


def per_item(few: Spent, many: Spent) -> float:
    """Processor seconds of an item more."""
    return (many.cpu - few.cpu) / (SIZES[1] - SIZES[0])


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
    if len(KEPT.read_text().splitlines()) > 1:
        table()
