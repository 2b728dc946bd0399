"""Tune the methods of a recipe, each with the same number of trials, on mini's validation split.

`python benchmarks/tune_embedded.py WORK [--recipe embedded] [--out FILE.md] [--write RECIPE.yaml]`

A trial is one whole training with one seed; its last stage is scored on the recipe's suite, whose items come from the
validation split (`mini:validation`). The test split is never opened. `--write` puts the winners into a recipe, as the
methods' `set`. Killed, the same command goes on where it was.
"""

import argparse
import sys
from pathlib import Path

import torch
import yaml

from harness import registry
from harness.evaluation import Evaluator, finish_run
from harness.report.csv_file import write_text
from harness.stats.paired import compare, pair
from harness.store import Store
from harness.suites import load_suites
from trainers.context import Context, accelerator_of
from trainers.generate import GenData
from trainers.models import Teachers, load_student
from trainers.questions import open_training_data
from trainers.recipe_file import load_recipe

RATES = (3e-5, 1e-4, 3e-4, 1e-3)
# A loss of one term has no weight to tune: AdamW's step does not change with the scale of the loss. So these methods
# spend all trials on the learning rate; Masters spends as many on the rate and on the weight of its RL term (whose KL
# keeps the paper's share of it).
ONE_TERM = [{"optimizer.lr": rate} for rate in RATES]
MASTERS = [{"optimizer.lr": rate, "policy.weight": weight} for rate in (3e-5, 1e-4) for weight in (1.0, 0.1)]
GRID = {
    "sft": ONE_TERM, "naive-kd": ONE_TERM, "mask-only": ONE_TERM, "naive-kd-multi": ONE_TERM,
    "mask-only-multi": ONE_TERM, "masters": MASTERS,
}  # fmt: skip


class Tuning:
    """The trials of one recipe in a folder; models and generated responses are shared between them."""

    def __init__(self, recipe, folder, store=None, limit=None):
        """Without a store it can only train."""
        self.recipe, self.folder, self.store = recipe, folder, store
        self.accelerator = accelerator_of(recipe, folder)
        self.data = open_training_data(recipe.data)
        self.teachers = Teachers(recipe.train, self.accelerator.device)
        self.generated = GenData(folder / "gen")
        self.tasks = load_suites().resolve(recipe.evaluation.suite).tasks
        self.evaluator = Evaluator(store, data="mini:validation", limit=limit) if store else None

    def scored(self, model, label):
        """Mean score over the tasks, and each task's units."""
        results = self.evaluator.evaluate(model, self.tasks, label=label)
        return sum(r.metrics.score for r in results) / len(results), [self.store.units(r.cell) for r in results]

    def trained(self, method, settings):
        """Name and model of the last stage with these settings."""
        name = ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in settings.items())
        recipe = self.recipe.override({"methods": [{"name": method, "set": settings}]}, "trial")
        context = Context(
            self.folder / name, method, recipe.seeds[0], self.data, self.teachers, self.generated, self.accelerator
        )
        *_, last = registry.load("trainers", method).run(recipe, context)
        return name, last.model

    def trial(self, method, settings):
        """Train with these settings and score the last stage."""
        name, model = self.trained(method, settings)
        return name, *self.scored(model, f"{method} {name}")

    def untrained(self):
        """The student and the teachers as they are."""
        student = load_student(self.recipe, self.accelerator.device)
        yield "student", *self.scored(student.model("student", student.fingerprint), "student")
        for number, teacher in enumerate(self.recipe.teachers):
            model = self.teachers.at(teacher.model, 0.0, self.recipe.masking).model
            yield f"teacher {number + 1}", *self.scored(model, f"teacher {number + 1}")


def against(units, base):
    """Mean paired difference over the tasks in points, and its standard error."""
    found = [compare(pair(a, b), resamples=200) for a, b in zip(units, base, strict=True)]
    error = sum(f.stderr**2 for f in found) ** 0.5 / len(found)
    return sum(f.points for f in found) / len(found), error


def tune(tuning, grid):
    """The lines of the table, and each method's best settings."""
    lines, best = [], {}
    (_, start, base), *teachers = tuning.untrained()
    lines.append(f"| student, untrained | | {start:.2f} | |")
    lines += [f"| {name} | | {score:.2f} | {score - start:+.2f} |" for name, score, _ in teachers]
    for method, trials in grid.items():
        scores = []
        for settings in trials:
            name, score, units = tuning.trial(method, settings)
            gain, error = against(units, base)
            scores.append((score, name, settings, gain, error))
            print(f"{method} {name}: {score:.2f} ({gain:+.2f} ± {error:.2f})", flush=True)
        chosen = max(scores, key=lambda found: found[0])
        best[method] = chosen[2]
        for score, name, _, gain, error in scores:
            shown = (f"**{name}**", f"**{score:.2f}**") if name == chosen[1] else (name, f"{score:.2f}")
            lines.append(f"| {method} | {shown[0]} | {shown[1]} | {gain:+.2f} ± {error:.2f} |")
    return lines, best


def write_settings(path, best):
    """Replace the methods block of a recipe file: known methods with the settings that won, the order kept."""
    before, _, rest = path.read_text().partition("\nmethods:")
    _, _, after = rest.partition("\nseeds:")
    names = [m.name for m in load_recipe(path).methods]
    given = [{"name": name, "set": best[name]} for name in names]
    body = "".join(f"  - {yaml.safe_dump(one, default_flow_style=True, sort_keys=False, width=999)}" for one in given)
    path.write_text(f"{before}\nmethods:\n{body}seeds:{after}")


def main():
    """Tune and write the table."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("work", type=Path)
    ask.add_argument("--recipe", default="embedded")
    ask.add_argument("--out", type=Path, default=Path("benchmarks/results/tune_embedded.md"))
    ask.add_argument("--write", type=Path)
    ask.add_argument("--methods", default=",".join(GRID))
    ask.add_argument("--limit", type=int)
    ask.add_argument("--only-train", action="store_true", help="A second process: trains, and leaves the rest.")
    given = ask.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(given.recipe)
    grid = {name: GRID[name] for name in given.methods.split(",")}
    if given.only_train:
        second = Tuning(recipe, given.work)
        for method, trials in grid.items():
            for settings in trials:
                second.trained(method, settings)
        return
    with Store(given.work) as store:
        tuning = Tuning(recipe, given.work, store, given.limit)
        lines, best = tune(tuning, grid)
        finish_run(store, {"recipe": given.recipe, "data": "mini:validation", "limit": given.limit})
    items = f"about {given.limit} items a task" if given.limit else "all items"
    head = [
        "# Tuning of the embedded recipe", "",
        f"`python benchmarks/tune_embedded.py`: {len(next(iter(grid.values())))} trials a method, one seed each,",
        f"{recipe.data.questions} questions; mean over {len(tuning.tasks)} tasks of mini's validation split ({items}),",
        "and the change against the untrained student with its standard error over items. The best is bold.", "",
        "| method | settings | validation | change |", "|---|---|---:|---:|",
    ]  # fmt: skip
    write_text(given.out, "\n".join([*head, *lines]) + "\n")
    if given.write:
        write_settings(given.write, best)


if __name__ == "__main__":
    sys.exit(main())
