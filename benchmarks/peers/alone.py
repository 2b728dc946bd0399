"""(b) Overhead per item and (h) memory, with a model that answers at once: alone.py [overhead] [memory]"""

from __future__ import annotations

import sys
import tempfile
from statistics import median

from many import STEP, TASK, Instant, many
from processes import Spent, here, middle, write_section

from harness import registry
from harness.data import open_dataset
from harness.evaluation import Evaluator, finish_run
from harness.store import Store

ITEMS, ALL, ROUNDS = (2_000, 10_000), 100_000, 3


def evaluated(model: Instant, size: int) -> tuple[Spent, Spent]:
    """(evaluation, exports and manifest) of a run into a new folder."""
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        evaluation = here(lambda: Evaluator(store, data=many(size)).evaluate(model, [TASK]))
        model.note(size)
        return evaluation, here(lambda: finish_run(store, {}))


def overhead() -> None:
    """(b): milliseconds an item."""
    lines = [
        f"`python benchmarks/peers/alone.py overhead`: ChartQA items of a local TSV, {ROUNDS} rounds, in one process;",
        "from the converted data over requests, keys, store, scoring and aggregation to the result; then the parquet",
        "exports and the manifest. Target: under 0.3 ms an item.",
        "",
        "| items | evaluation, ms an item | wall | with exports, ms an item | first reading of the TSV, ms an item |",
        "|--:|--:|--:|--:|--:|",
    ]
    for size in ITEMS:
        first = here(lambda size=size: open_dataset(registry.task(TASK), many(size)))
        rounds = [evaluated(Instant(), size) for _ in range(ROUNDS)]
        run = middle([evaluation for evaluation, _ in rounds])
        whole = median(evaluation.cpu + export.cpu for evaluation, export in rounds)
        each = (f"{1000 * seconds / size:.3f}" for seconds in (run.cpu, run.wall, whole, first.cpu))
        lines.append(f"| {size:,} | {' | '.join(each)} |")
    write_section("b. Overhead of an item", "\n".join(lines))


def memory() -> None:
    """(h): resident memory as a run goes on."""
    open_dataset(registry.task(TASK), many(ALL))
    model = Instant()
    model.note(0)
    evaluated(model, ALL)
    lines = [
        f"`python benchmarks/peers/alone.py memory`: one run of {ALL:,} items of a local TSV, resident memory of the",
        "process as answers come in, when all are scored and their verdicts are still held, and at the end.",
        "",
        "| answered | resident, MiB | processor, s |",
        "|--:|--:|--:|",
    ]
    names = [f"{done:,}" for done, _, _ in model.notes[:-2]] + ["all, scored", "at the end"]
    lines += [f"| {n} | {rss:.0f} | {cpu:.1f} |" for n, (_, rss, cpu) in zip(names, model.notes, strict=True)]
    answering = [rss for _, rss, _ in model.notes[1:-2]]
    peak = model.notes[-2][1] - answering[-1]
    lines += [
        "",
        f"From {STEP:,} to {ALL - STEP:,} answers it grew by {answering[-1] - answering[0]:.0f} MiB. Scoring holds"
        f" the verdicts of one task until they are aggregated: {peak:.0f} MiB ({1024 * peak / ALL:.1f} KiB an item),"
        " given back afterwards.",
    ]
    write_section("h. Memory over a run of 100,000 items", "\n".join(lines))


if __name__ == "__main__":
    for name in sys.argv[1:] or ("overhead", "memory"):
        {"overhead": overhead, "memory": memory}[name]()
