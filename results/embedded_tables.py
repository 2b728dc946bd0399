"""The tables of a run of one recipe with several seeds: scores, paired differences, stages."""

from harness.compare import compare_sides, methods_of, read_sides
from harness.report.comparison import markdown
from harness.report.leaderboard import Leaderboard, read
from harness.report.overview import stage_averages
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
            "Mean over the suite in points (MMMU-Pro's two settings count as one) and its differences, paired by item",
            "and seed, in brackets the 95 % interval (items and training seeds; not corrected for the number of",
            "comparisons). Bold: the interval excludes 0.",
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
        """Average after each stage, on the items that every stage was scored on, averaged over seeds."""
        heads, rows = stage_averages(self.sides)
        lines = [
            "# Score after each stage", "",
            "Average over the tasks, on the items that all stages were scored on, averaged over seeds. Teacher and",
            "mask ratio are those of Masters; `masters-fixed-mask` stays at its r_max, `masters-reversed` goes up from",
            "0, and `sft` and the naive forms have no mask.", "",
            "| method | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads),
        ]  # fmt: skip
        lines += [f"| {method} | {' | '.join(f'{value:.1f}' for value in row)} |" for method, row in rows.items()]
        return "\n".join(lines) + "\n"
