"""What does the gate say about real faults of the embedded recipe? `python benchmarks/gate_detection.py WORK [OUT.md]`

Masters is trained with seed 0; the last stage is the baseline. Then the same with each fault, and with 20 other seeds,
judged by the shipped policy at the nightly's 16 items a task, at 100, and with all. Killed, the same command goes on.
"""

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from harness import evaluation, registry
from harness.ablate import ablated
from harness.evaluation import Evaluator
from harness.gate import couples, judge
from harness.policy import read_policy
from harness.reference import read_measured
from harness.report.csv_file import write_text
from harness.scoring import can_infer
from harness.store import Store
from harness.suites import load_suites
from trainers import objective
from trainers.context import open_context
from trainers.recipe_file import load_recipe

REPEATS, LIMITS, ALL = 20, (16, 100, 500), 500
#: Ten times the recipe's RL weight and rate, or 48 steps in the wrong direction would do no harm.
LOUD = {"methods": [{"name": "masters", "set": {"optimizer.lr": 1e-3, "policy.weight": 1.0}}]}
POLICY = Path(__file__).resolve().parents[1] / "results" / "policy.yaml"


class OtherPrompt:
    """A model whose prompts lose their last line (the instruction how to answer) on the way."""

    def __init__(self, model):
        self.model, self.name = model, model.name

    def fingerprint(self):
        """Another model for the store."""
        return f"{self.model.fingerprint()} without the last line"

    def generate(self, requests):
        """The model's answers to the shorter prompts."""
        return self.model.generate(map(self.shortened, requests))

    @staticmethod
    def shortened(request):
        """The request without the last line of its text, where it has several."""
        *parts, last = request.parts
        if isinstance(last, str) and "\n" in last.strip():
            last = last.rstrip().rpartition("\n")[0]
        return replace(request, parts=(*parts, last))


class Bench:
    """Trainings of Masters in a folder, and a store of scores for each number of items."""

    def __init__(self, recipe, folder, stack):
        self.recipe, self.folder = recipe, folder
        self.tasks = load_suites().resolve("full").tasks
        self.stores = {limit: stack.enter_context(Store(folder / f"scores-{limit}")) for limit in LIMITS}
        self.evaluators = {limit: Evaluator(store, limit=limit) for limit, store in self.stores.items()}
        self.context = open_context(recipe, folder, "masters", 0)

    def trained(self, seed, name="as-it-is"):
        """The last stage of Masters with a seed; `name` keeps a faulty training apart."""
        context = replace(self.context, folder=self.folder / name, seed=seed)
        *_, last = registry.load("trainers", "masters").run(self.recipe, context)
        return last.model

    def scored(self, model, label):
        """Evaluate on every number of items; returns the label."""
        for evaluator in self.evaluators.values():
            evaluator.evaluate(model, self.tasks, label=label)
        return label

    def verdicts(self, label):
        """The gate's words for each number of items: verdict and drop of the mean."""
        policy, told = read_policy(POLICY), []
        for limit in LIMITS:
            measured = read_measured(self.folder / f"scores-{limit}")
            found = judge(policy, couples(measured, measured, (label, "baseline")))
            mean = next(check for check in found.checks if check.kind == "score" and check.task == "overall")
            failed = sorted({f"{c.task} {c.kind}" for c in found.checks if c.tier == "must" and c.status == "failed"})
            told.append((str(found.decision), mean.drop, len(failed)))
        return told


def wrong_sign(reward, layout, asked):
    """Advantages with the sign turned."""
    return -TRUE_ADVANTAGES(reward, layout, asked)


TRUE_ADVANTAGES = objective._advantages


def faults(bench, model):
    """Label of each fault after its evaluation."""
    yield bench.scored(model, "the same model again")
    with patch.object(objective, "_advantages", wrong_sign):
        turned = bench.trained(0, "wrong-sign")
    yield bench.scored(turned, "advantage with the wrong sign")
    yield bench.scored(ablated(model, "shuffle", bench.evaluators[LIMITS[-1]], bench.tasks), "images swapped")
    yield bench.scored(OtherPrompt(model), "prompts without their last line")
    with patch.object(evaluation, "strip_reasoning", lambda text, tags: text[1:]):
        yield bench.scored(model, "parser sees responses without their first character")
    with patch.object(can_infer, "_standing_alone", lambda words, choices: []):
        yield bench.scored(model, "the parser of MMBench and CCBench sees no letters")


def main(work, out):
    """Run and write the table."""
    torch.set_num_threads(1)
    recipe = load_recipe("embedded").override(LOUD, "gate_detection")
    with ExitStack() as stack:
        bench = Bench(recipe, work, stack)
        model = bench.trained(0)
        bench.scored(model, "baseline")
        lines = []
        for label in faults(bench, model):
            cells = " | ".join(f"{what} | {drop:+.1f} | {failed}" for what, drop, failed in bench.verdicts(label))
            lines.append(f"| {label} | {cells} |")
            print(lines[-1], flush=True)
        repeats = [bench.verdicts(bench.scored(bench.trained(s), f"seed {s}")) for s in range(1, REPEATS + 1)]
    cells = []
    for place in range(len(LIMITS)):
        words = [repeat[place][0] for repeat in repeats]
        counts = ", ".join(f"{words.count(word)} {word}" for word in ("GO", "INCONCLUSIVE", "NO-GO"))
        drops = [repeat[place][1] for repeat in repeats]
        cells += [counts, f"{min(drops):+.1f} to {max(drops):+.1f}", ""]
    lines.append(f"| {REPEATS} other training seeds | {' | '.join(cells)} |")
    columns = ["all items" if limit == ALL else f"{limit} items a task" for limit in LIMITS]
    heads = " | ".join(f"{column} | drop of the mean | checks failed" for column in columns)
    head = [
        "# The gate on real faults", "",
        "`python benchmarks/gate_detection.py WORK`: Masters of the embedded recipe (learning rate 1e-3, RL weight 1)",
        "against itself with a fault, in training or after it,",
        "judged by `results/policy.yaml`; drops in points, negative where the run is better.", "",
        f"| what changed | {heads} |", "|---|" + "---|---:|---:|" * len(LIMITS),
    ]  # fmt: skip
    write_text(out, "\n".join([*head, *lines]) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "benchmarks/results/gate_detection.md"))
