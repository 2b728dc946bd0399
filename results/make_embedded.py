"""Run the embedded recipe with several seeds and all controls, and write what came of it.

`python results/make_embedded.py [RUN [OUT]]` (by default runs/embedded-seeds and results/embedded); `--tables` only
reads the finished RUN. The recipe it runs is recipes/embedded.yaml with more methods and seeds, written to
OUT/recipe.yaml. Killed, the same command goes on where it was.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))
from embedded_tables import Tables

from harness import registry
from harness.report import board_formats, leaderboard
from harness.report.csv_file import as_csv, write_text
from harness.report.html import write_report
from trainers.context import open_context
from trainers.generate import GenData
from trainers.recipe_file import load_recipe

CONTROLS = (
    "masters-random-mask", "masters-fixed-mask", "masters-reversed", "masters-accuracy-only",
    "masters-distillation-only", "masters-no-reference",
)  # fmt: skip
SEEDS = 3
REPORT_MB = 5.0


def write_recipe(path, seeds, names):
    """The shipped recipe with the controls, which take the settings that Masters was tuned to, and several seeds."""
    recipe = load_recipe("embedded")
    body = recipe.model_dump(mode="json", exclude_unset=True)
    tuned = next(method.set for method in recipe.methods if method.name == "masters")
    shipped = [method.model_dump(mode="json") for method in recipe.methods]
    controls = [{"name": name, "set": dict(tuned)} for name in names]
    body |= {"name": "embedded-seeds", "methods": [*shipped, *controls], "seeds": list(range(seeds))}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# Written by results/make_embedded.py\n" + yaml.safe_dump(body, sort_keys=False, width=110))


def write_boards(tables, out):
    """Every row as CSV; for reading, a row a method: the mean over its seeds."""
    write_text(out / "leaderboard.csv", as_csv(*leaderboard.records(leaderboard.read([tables.run]))))
    means = tables.board()
    write_text(out / "leaderboard.md", leaderboard.markdown(means))
    write_text(out / "leaderboard.html", board_formats.html(means))
    write_text(out / "leaderboard.tex", board_formats.latex(means))


def write_manifest(run, out):
    """The run's manifest without its thousands of cells: the fingerprint of every model, the hash of every task."""
    told = json.loads((run / "manifest.json").read_text())
    cells = told.pop("cells")
    told["models"] = {cell["model"]: cell["fingerprint"] for cell in cells}
    told["data_sha256"] = {cell["task"]: cell["data_sha256"] for cell in cells if cell["model"] == cells[0]["model"]}
    told["budget"] = {cell["model"]: cell["stage"]["budget"] for cell in cells if cell["stage"].get("last")}
    told["arguments"]["out"] = Path(told["arguments"]["out"]).name
    (out / "manifest.json").write_text(json.dumps(told, indent=1) + "\n")


def train(recipe, run):
    """Train what no process has begun, from the last seed on: the run itself then finds it done and evaluates it."""
    generated = GenData(run / "gen", writer=100 + os.getpid() % 900)  # files of its own beside the run's
    data, teachers = None, None
    for seed in reversed(recipe.seeds):
        for method in reversed(recipe.methods):
            if (run / method.name / f"seed{seed}").exists():
                continue
            context = open_context(recipe, run, method.name, seed)
            if data is not None:
                context.data, context.teachers = data, teachers
            data, teachers, context.generated = context.data, context.teachers, generated
            for _ in registry.load("trainers", method.name).run(recipe, context):
                pass


def main():
    """Run what is missing, then write the tables."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("run", nargs="?", type=Path, default=Path("runs/embedded-seeds"))
    ask.add_argument("out", nargs="?", type=Path, default=Path("results/embedded"))
    ask.add_argument("--tables", action="store_true", help="Only read the finished run.")
    ask.add_argument("--only-train", action="store_true", help="A second process: trains from the last seed on.")
    ask.add_argument("--seeds", type=int, default=SEEDS)
    ask.add_argument("--no-controls", action="store_true", help="Only the recipe's own methods.")
    ask.add_argument("--limit", help="About this many items a task, for a trial.")
    given = ask.parse_args()
    if given.only_train:
        return train(load_recipe(given.out / "recipe.yaml"), given.run)
    if not given.tables:
        write_recipe(given.out / "recipe.yaml", given.seeds, () if given.no_controls else CONTROLS)
        words = ["run", "--recipe", str(given.out / "recipe.yaml"), "--out", str(given.run)]
        words += ["--limit", given.limit] if given.limit else []
        subprocess.run([sys.executable, "-m", "harness", *words], check=True)  # noqa: S603
    tables = Tables(given.run)
    write_boards(tables, given.out)
    write_text(given.out / "comparison.md", tables.comparison())
    write_text(given.out / "stages.md", tables.stages())
    write_manifest(given.run, given.out)
    page = given.out / "report.html"
    write_report(given.run, page, text_mb=0.2, images_mb=0.0)
    if page.stat().st_size > REPORT_MB * 1e6:
        sys.exit(f"{page} has {page.stat().st_size / 1e6:.1f} MB, more than {REPORT_MB:g}")


if __name__ == "__main__":
    main()
