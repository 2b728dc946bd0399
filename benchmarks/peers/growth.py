"""Growth with items, group size, prefix length and stages: growth.py draws results/growth.svg from what was measured.

It measures what no other section does: 1,500 items with every side, and groups of sampled answers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import median

from inputs import FAMILIES, WORK, Inputs, inputs
from panels import Panel, Points, write
from processes import RESULTS, Spent, here, middle, write_section
from stages import KEPT as STAGES
from throughput import SIDES, SIZES, kept

from harness.api import Model, Request

MANY, MANY_ROUNDS, SLOW = 1500, 5, "VLMEvalKit"  # it takes six times as long: one round
MANY_KEPT = WORK / "many.jsonl"  # a line a round
GROUPS, PROMPTS, ROUNDS = (1, 2, 4, 8, 16), 32, 3
PLOT = RESULTS.parent / "growth.svg"
PACKING = RESULTS.parent / "packing.md"


def items() -> tuple[dict[str, Points], list[dict[str, Spent]]]:
    """Seconds of whole processes by items, and the rounds of 1,500 items; a measurement that is cut off goes on."""
    first, *rounds = map(json.loads, kept(FAMILIES[0]).read_text().splitlines())
    made, sides = inputs(MANY), SIDES[FAMILIES[0]]
    done = MANY_KEPT.read_text().splitlines() if MANY_KEPT.exists() else []
    if not done:
        for side in sides.values():
            side(inputs(SIZES[0]), 1)  # the disk's cache
        sides["harness run"](made, 0)  # and the converted data
    for number in range(len(done), MANY_ROUNDS):
        spent = {name: side(made, first[name]) for name, side in sides.items() if name != SLOW or number == 0}
        print(spent, flush=True)
        with MANY_KEPT.open("a") as out:
            out.write(json.dumps(spent) + "\n")
    lines = MANY_KEPT.read_text().splitlines()
    many = [{name: Spent(*clocks) for name, clocks in json.loads(line).items()} for line in lines]
    points = {
        name: [
            *((size, median(r[f"{name} {size}"][0] for r in rounds)) for size in SIZES),
            (MANY, whole(many, name).cpu),
        ]
        for name in sides
    }
    return points, many


def whole(many: list[dict[str, Spent]], name: str) -> Spent:
    """The medians of a side over the rounds in which it took part."""
    return middle([spent[name] for spent in many if name in spent])


def groups(made: Inputs) -> dict[str, Points]:
    """Milliseconds of a group of sampled answers: one request for all of them, and a request for each."""
    import torch

    from harness import registry
    from harness.data import open_dataset
    from harness.models.hf import HFModel
    from harness.models.load import load_module, load_processor
    from harness.models.preprocess import Preprocessor

    torch.set_num_threads(1)
    task = registry.task("chartqa")
    rules = registry.rules(task, "lmms-eval@0.7.2")
    asked = [rules.request(sample) for sample in open_dataset(task, made.folder)][:PROMPTS]
    module = load_module(made.checkpoint, "cpu", "bfloat16", "auto")
    prompts = Preprocessor(load_processor(made.checkpoint))  # shared: what is measured is decoding
    found: dict[str, list[tuple[float, float]]] = {"one request of G answers": [], "G requests": []}
    for size in GROUPS:
        sampled = [replace(r, generation=replace(r.generation, temperature=1.0, n=size)) for r in asked]
        apart = [replace(r, generation=replace(r.generation, n=1, seed=k)) for r in sampled for k in range(size)]
        for name, requests in zip(found, (sampled, apart), strict=True):
            model = HFModel(module, prompts, name=name)
            spent = median(here(partial(answered, model, requests)).cpu for _ in range(ROUNDS))
            found[name].append((size, 1000 * spent / PROMPTS))
    return found


def answered(model: Model, requests: Sequence[Request]) -> None:
    """Answer all requests."""
    for _ in model.generate(requests):
        pass


def prefixes() -> dict[str, Points]:
    """Milliseconds of a training sample by prompt tokens, as the packing table has them."""
    rows = [line.strip("| \n").split("|") for line in PACKING.read_text().splitlines() if line.startswith("| ")][1:]
    return {
        name: [(int(row[0]), 1000 / float(row[column])) for row in rows]
        for column, name in ((2, "packed"), (1, "a row each"))
    }


def stages() -> dict[str, Points]:
    """Seconds by number of stages: one process, and a process each."""
    spent = {name: clocks[0] for name, clocks in json.loads(STAGES.read_text()).items()}
    counts = sorted(int(name) for name in spent if name.isdigit())
    return {
        "one process": [(count, spent[str(count)]) for count in counts],
        "`harness run` each": [(count, count * spent["run"]) for count in counts],
        "lmms-eval each": [(count, count * spent["lmms-eval"]) for count in counts],
    }


def main() -> None:
    """Measure, draw, and write the section."""
    lines, many = items()
    write(
        [
            Panel("Evaluation: whole command", "items", "processor seconds", lines),
            Panel("Evaluation: a group of sampled answers", "answers a prompt (G)", "ms a prompt", groups(inputs(100))),
            Panel("Training: a sample, groups of 8", "prompt tokens", "processor ms a sample", prefixes()),
            Panel("Evaluation: stages of one recipe", "stages", "processor seconds", stages()),
        ],
        PLOT,
    )
    rows = []
    for name in SIDES[FAMILIES[0]]:
        spent, pairs = whole(many, name), [(r[name], r["harness run"]) for r in many if name in r]
        ratios = (median(theirs[clock] / ours[clock] for theirs, ours in pairs) for clock in (0, 1))
        cells = (f"{spent.cpu:.1f}", f"{spent.wall:.1f}", *(f"{ratio:.2f}" for ratio in ratios))
        rows.append(f"| {name} | {len(pairs)} | {' | '.join(cells)} |")
    text = [
        "![Seconds by items, by answers a prompt, by prompt tokens and by stages](growth.svg)",
        "",
        f"`python benchmarks/peers/growth.py` draws it. The whole command over {MANY:,} real items, medians of paired",
        "rounds:",
        "",
        "| side | rounds | processor, s | wall, s | its time / ours | its wall / ours |",
        "|---|--:|--:|--:|--:|--:|",
        *rows,
    ]
    write_section("j. Growth", "\n".join(text))


if __name__ == "__main__":
    main()
