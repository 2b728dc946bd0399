"""The tables of a run of one recipe with several seeds: scores, paired differences, stages."""

import numpy as np

from harness.compare import compare_sides, methods_of, read_sides
from harness.report.comparison import markdown
from harness.report.leaderboard import Leaderboard, read
from harness.report.seeds import over_seeds, seed_means
from harness.store import Store
from harness.suites import counted, load_suites

BASE, TEACHER = "embedded/student", "embedded/large"
AGAINST = (BASE, "sft", "naive-kd", "mask-only", "naive-kd-multi", "mask-only-multi")


class Tables:
    """What a run says; `masters` is compared with everything else at hand."""

    def __init__(self, run):
        self.run = run
        self.sides = read_sides([run])
        self.methods = methods_of(self.sides)
        self.plain = [name for name, side in self.sides.items() if not next(iter(side.values()))[0].result.stage]
        self.composites = load_suites().composites
        found = read([run])
        self.known, self.benchmarks = {entry.who["model"]: entry for entry in found.entries}, found.benchmarks

    def board(self):
        """A row for each untrained model and one for each method: the mean over its seeds."""
        entries = [self.known[name] for name in self.plain] + [over_seeds(self._last(m)) for m in self.methods]
        return Leaderboard(entries, [name for name in self.benchmarks if name in entries[0].metrics])

    def _last(self, method):
        """The rows of a method's last stages, one a seed."""
        return [self.known[measured.result.cell.model] for measured in next(iter(self.sides[method].values()))]

    # ------------------------------------------------------------ comparison.md

    def comparison(self):
        """Every method against what it must beat, in one table; then Masters task by task."""
        told = ["# Paired differences", "", *self._summary(), "", *self._controls(), "", *self._trained(), ""]
        for other in (name for name in AGAINST if name in self.sides):
            found = compare_sides(self.sides, "masters", other, base=BASE, teacher=TEACHER, allow=["budget"])
            told += [markdown(found).replace("### ", "## ", 1)]
        return "\n".join(told)

    def _against(self, method, other, sides=None):
        """`+1.2 (-0.3 to +2.7)`; bold where the interval excludes 0."""
        if other == method:
            return ""
        found = compare_sides(sides or self.sides, method, other, resamples=2000, allow=["budget"]).overall
        cell = f"{found.points:+.2f} ({found.low:+.2f} to {found.high:+.2f})"
        return f"**{cell}**" if found.low > 0 or found.high < 0 else cell

    def _summary(self):
        """Mean over tasks of every method, and its differences from the four that the issue names."""
        against = [name for name in AGAINST[:4] if name in self.sides]
        rows = [entry for entry in self.board().entries if not entry.source]
        lines = [
            "Mean over the suite in points (MMMU-Pro's two settings count as one); differences are means over all",
            "tasks, paired by item and seed, in brackets the 95 % interval (items and training seeds; not corrected",
            "for the number of comparisons). Bold: the interval excludes 0.",
            "`sft`, `naive-kd` and `mask-only` train on one gold response to a question, the others on eight: they are",
            "compared although these budgets differ (`--allow budget`).",
            "",
            "| method | mean ± standard error | spread of seeds | " + " | ".join(f"minus {n}" for n in against) + " |",
            "|---|---:|---:|" + "---:|" * len(against),
        ]  # fmt: skip
        for name in [*self.plain, *self.methods]:
            entry = next(e for e in rows if name in (e.who["model"], e.who["method"]))
            spread = ""
            if name in self.methods and len(next(iter(self.sides[name].values()))) > 1:
                names = counted(self.sides[name], self.composites)
                spread = f"{seed_means(self._last(name), names).std(ddof=1):.2f}"
            cells = [self._against(name, o) if name in self.methods or o == BASE else "" for o in against]
            lines.append(
                f"| {name} | {entry.average.score:.2f} ± {entry.average.stderr:.2f} | {spread} | {' | '.join(cells)} |"
            )
        return lines

    def _trained(self):
        """Masters minus the others on the tasks that the training questions come from."""
        with Store(self.run, write=False) as store:
            sources = store.meta()["recipe"]["data"]["sources"]
        tasks = [task for source in sources for task in source.partition(":")[2].split(",") if task]
        if not tasks:
            return []
        sides = {name: {task: side[task] for task in tasks if task in side} for name, side in self.sides.items()}
        lines = [
            f"Only the {len(tasks)} tasks that were trained on:",
            "",
            "| other | Masters minus other |",
            "|---|---:|",
        ]
        others = [name for name in [*AGAINST, TEACHER] if name in sides]
        return lines + [f"| {name} | {self._against('masters', name, sides)} |" for name in others]

    def _controls(self):
        """Masters minus each of its controls and multi-response baselines: the same budget, one thing changed."""
        others = [name for name in self.methods if name.startswith("masters-") or name.endswith("-multi")]
        lines = ["| control | Masters minus control |", "|---|---:|"]
        return lines + [f"| {name} | {self._against('masters', name)} |" for name in others]

    # ------------------------------------------------------------ stages.md

    def stages(self):
        """Mean over tasks after each stage, on the items that every stage was scored on, averaged over seeds."""
        found, names = {}, {}
        for side in self.sides.values():
            for task, measured in side.items():
                for one in measured:
                    stage = one.result.stage
                    if "method" in stage and one.result.cell.model.startswith(f"{stage['method']}/s{stage['seed']}/"):
                        found.setdefault((stage["method"], stage["index"]), {})[stage["seed"], task] = one.units
                        names[stage["method"], stage["index"]] = one.result.cell.model.rpartition("/")[2]
        last = max(index for _, index in found)
        lines = [
            "# Score after each stage", "",
            "Mean over the tasks, on the items that all stages were scored on, averaged over seeds. In brackets the",
            "stage's teacher and mask ratio.", "",
            "| method | " + " | ".join(str(i + 1) for i in range(last + 1)) + " |", "|---|" + "---:|" * (last + 1),
        ]  # fmt: skip
        for method in self.methods:
            cells = [self._stage(found, names, method, index) for index in range(last + 1)]
            lines.append(f"| {method} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    def _stage(self, found, names, method, index):
        of_stage = found.get((method, index))
        if not of_stage:
            return ""
        scores = []
        for key, own in of_stage.items():
            stages = [other[key] for (m, _), other in found.items() if m == method and key in other]
            shared = set.intersection(*({unit.id for unit in units} for units in stages))
            kept = [u for u in own if u.id in shared]
            scores.append(sum(u.score * u.weight for u in kept) / sum(u.weight for u in kept))
        return f"{100 * np.mean(scores):.1f} ({names[method, index].partition('-')[2]})"
