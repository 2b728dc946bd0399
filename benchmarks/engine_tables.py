"""One table by several engines: `python benchmarks/engine_tables.py OUT.md RUN ...`

Reads run folders (of `harness run`, and of `harness parity`, which holds both sides) that answered the same items by
different engines, and writes their scores side by side, how many responses have the text of the first engine's, and
what the certificates in the runs say. Nothing is computed anew: docs/scale.md has the commands of the runs.
"""

import sys
from pathlib import Path

from harness.store import load_run

#: What a model is called in the table, by what its name in the run holds; the first that fits.
NAMES = (("openai:", "openai (vLLM server)"), ("vllm:", "vllm"), ("workers=1", "ray, a vllm worker"),
         ("workers=2", "ray, two vllm workers"))  # fmt: skip


def columns(folders):
    """(engine, results by task, responses by (task, item)) of every model of every run."""
    for folder in map(Path, folders):
        run = load_run(folder)
        options = " ".join(((run.manifest or {}).get("arguments") or {}).get("backend_options", []))
        for model in dict.fromkeys(result.cell.model for result in run.results):
            name = next((name for mark, name in NAMES if mark in f"{model} {options}"), "hf")
            results = {r.cell.task: r for r in run.results if r.cell.model == model}
            items = run.items[run.items.model == model]
            yield name, results, {(i.task, i.id): i.response for i in items.itertuples()}


def certificates(folders):
    """A line about each certificate of parity in the runs."""
    counted = ("items", "prompts_same", "images_compared", "images_same", "settings_same", "answers_same",
               "verdicts_same", "ties", "errors")  # fmt: skip
    for folder in folders:
        for found in (load_run(folder).manifest or {}).get("parity", []):
            n = {key: sum(task[key] for task in found["tasks"]) for key in counted}
            sides = " and ".join(f"`{side['label']}`" for side in found["sides"])
            gap = max(task["gap"] for task in found["tasks"])
            images = f"images of {n['images_same']:,} items" if n["images_compared"] else "(no pixels are shown)"
            yield (
                f"- **{found['outcome']}** of {sides}: {n['items']:,} items; equal are {n['prompts_same']:,} prompts, "
                f"{images}, {n['settings_same']:,} settings, {n['answers_same']:,} answers, {n['verdicts_same']:,} "
                f"verdicts; ties {n['ties']}, errors {n['errors']}; largest gap of a log-probability {gap:.1e}, "
                f"tolerance {found['tolerance']}."
            )


def stated(result):
    """What makes a line of the table."""
    return result.metrics.score, result.metrics.stderr, result.items, result.states


def row(task, found):
    """A task's line: scores, and how many responses have the text of the first engine's."""
    (_, first, texts), others = found[0], found[1:]
    keys = [key for key in texts if key[0] == task]
    scores = [f"{results[task].metrics.score:.4f}" for _, results, _ in found]
    same = [f"{sum(own.get(key) == texts[key] for key in keys):,}" for _, _, own in others]
    return f"| {task} | {first[task].items:,} | {' | '.join([*scores, *same])} |"


def main(out, *folders):
    """Write the page."""
    found = list(columns(folders))
    first, engines = found[0][1], [name for name, _, _ in found]
    equal = {
        name: all(stated(results[task]) == stated(first[task]) for task in first) for name, results, _ in found[1:]
    }
    head = ["task", "items", *engines, *(f"same responses, {name}" for name in engines[1:])]
    items = sum(result.items for result in first.values())
    said = "; ".join(f"{name}: {'the same table' if same else 'ANOTHER TABLE'}" for name, same in equal.items())
    text = [
        "# One table by every engine",
        "",
        f"`python benchmarks/engine_tables.py` on runs of `embedded/large` over all of mini: {items:,} items of "
        f"{len(first)} tasks. Score, standard error and states of every task compared with {engines[0]}: {said}.",
        "",
        *certificates(folders),
        "",
        f"| {' | '.join(head)} |",
        "|---|" + "---:|" * (len(head) - 1),
        *(row(task, found) for task in first),
        "",
    ]
    Path(out).write_text("\n".join(text))


if __name__ == "__main__":
    main(*sys.argv[1:])
