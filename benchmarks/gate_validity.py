"""How often does the gate cry wolf, and what does it catch? `python benchmarks/gate_validity.py OUT.md`

Simulated nightlies: 17 tasks of 1 model, right or wrong answers, clusters of 1 to 4 items that share an ease, the
second run answering a share of the items anew (item noise) with a chance lowered by the true drop. The policy is the
shipped one, with its limits on scores only.
"""

import sys
from pathlib import Path

import numpy as np

from harness.gate import Decision, Scores, decide
from harness.policy import read_policy
from harness.stats.paired import Pairs

WORLDS, TASKS = 400, 17
POLICY = Path(__file__).resolve().parents[1] / "results" / "policy.yaml"


def draw(rng, items, noise, drop):
    """One task: paired 0/1 scores of `items` items, and the cluster of each; `drop` as a share."""
    cluster = np.repeat(np.arange(items), rng.integers(1, 5, items))[:items]
    chance = np.clip(rng.beta(4, 2, items)[cluster] + rng.normal(0, 0.1, items), 0.02, 0.98)
    old = rng.random(items) < chance
    new = np.where(rng.random(items) < noise, rng.random(items) < chance, old)
    lost = rng.random(items) < drop / max(float(new.mean()), 0.01)
    return Pairs((new & ~lost).astype(float), old.astype(float), np.full(items, 1 / items), cluster)


def first(pairs, share):
    """The first clusters of a task; they are drawn in random order."""
    keep = pairs.cluster < max(2, round(share * (pairs.cluster.max() + 1)))
    return Pairs(pairs.a[keep], pairs.b[keep], pairs.weight[keep], pairs.cluster[keep])


def verdict(policy, world, looks):
    """The decision and the share of items looked at."""
    scores = Scores(policy, list(world), looks)
    for look in range(1, looks + 1):
        checks = scores.look({key: first(pairs, look / looks) for key, pairs in world.items()})
        if scores.certain:
            break
    return decide(checks), look / looks


def row(policy, rng, items, noise, drop, everywhere):
    """Rates of the verdicts in percent at one look and in blocks, and the mean share of items in blocks."""
    count = {looks: dict.fromkeys(Decision, 0) for looks in (1, policy.looks)}
    seen = 0.0
    for _ in range(WORLDS):
        world = {
            ("model", f"task{i}"): draw(rng, items, noise, drop if everywhere or i == 0 else 0.0) for i in range(TASKS)
        }
        for looks in count:
            found, share = verdict(policy, world, looks)
            count[looks][found] += 1
        seen += share / WORLDS
    rates = [100 * count[looks][d] / WORLDS for looks in count for d in (Decision.GO, Decision.NO_GO)]
    where = "every task" if everywhere else "one task"
    told = f"{100 * drop:.0f} on {where}" if drop else "none"
    cells = " | ".join(f"{rate:.1f}" for rate in rates)
    return f"| {items} | {100 * noise:.0f} % | {told} | {cells} | {100 * seen:.0f} % |"


SETTINGS = [
    (16, 0.0, 0.0, True), (16, 0.1, 0.0, True), (16, 0.3, 0.0, True), (16, 1.0, 0.0, True), (100, 0.3, 0.0, True),
    (100, 1.0, 0.0, True), (16, 0.1, 0.05, True), (16, 0.1, 0.1, True), (16, 0.1, 0.3, True), (16, 0.1, 0.6, False),
    (100, 0.1, 0.05, True), (100, 0.1, 0.3, False),
]  # fmt: skip


def main(out):
    """Write the table."""
    rng = np.random.default_rng(20260102)
    policy = read_policy(POLICY)
    looks = policy.looks
    lines = [
        "# Validity of the gate",
        "",
        f"`python benchmarks/gate_validity.py`: {WORLDS:,} simulated nightlies a row of {TASKS} tasks, judged by",
        f"`results/policy.yaml` (false_alarm {policy.false_alarm}; every task and the mean are must). Item noise:",
        "share of the items that the same model answers anew. Rates in percent; the rest to 100 is INCONCLUSIVE.",
        f"In blocks: `--sequential` with {looks} looks.",
        "",
        "| items a task | item noise | true drop | GO | NO-GO | GO in blocks | NO-GO in blocks | items looked at |",
        "|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for setting in SETTINGS:
        lines.append(row(policy, rng, *setting))
        print(lines[-1], flush=True)
    Path(out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results/gate_validity.md")
