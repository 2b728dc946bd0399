"""May this run replace the baseline? GO, NO-GO, INCONCLUSIVE, or BROKEN where nothing can be compared.

A score check passes when a drop of the policy's margin is excluded (non-inferiority, one-sided, on paired units with
clusters). It fails when the measured drop is above `max_drop` and is not chance (one-sided, Bonferroni over the score
checks of its tier, so that a tier raises a false alarm with probability `false_alarm` at most). Else it is open, or,
where the policy demands no proof (margin null), passed after the last look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from scipy import special, stats

from harness.api import HarnessError
from harness.compare import Measured
from harness.policy import EVERY, Overall, Policy, Tier, TierName
from harness.stats.paired import Pairs, pair
from harness.stats.sequential import Estimate, boundaries, estimate, mean_of

_OVERALL = "overall"  # stands for a task in checks of all tasks together


class Decision(IntEnum):
    """The verdict; its value is the exit code of `harness gate`."""

    GO = 0
    NO_GO = 1
    INCONCLUSIVE = 2
    BROKEN = 3

    def __str__(self) -> str:
        return self.name.replace("_", "-")


class Status(StrEnum):
    """What became of one check."""

    PASSED = "passed"
    FAILED = "failed"
    OPEN = "open"


@dataclass(frozen=True)
class Check:
    """One demand of the policy: `drop` in points (speed: percent), its one-sided bounds where it has any."""

    tier: TierName
    model: str
    task: str
    kind: str
    status: Status
    drop: float
    low: float | None
    high: float | None
    told: str


@dataclass(frozen=True)
class Gate:
    """The verdict with its checks; `share` of the items was looked at, `share` < 1 only where looks came in blocks."""

    decision: Decision
    run: str
    baseline: str
    checks: Sequence[Check]
    share: float = 1.0
    problem: str = ""


@dataclass(frozen=True)
class Couple:
    """A model of the run and of the baseline on one task: the same units, in a fixed random order of clusters."""

    model: str
    task: str
    new: Measured
    old: Measured
    pairs: Pairs

    def part(self, share: float) -> Pairs:
        """The units of the first `share` of the clusters (at least two)."""
        clusters = int(self.pairs.cluster.max()) + 1
        shown = np.random.default_rng(0).permutation(clusters) < max(2, round(share * clusters))
        keep = shown[self.pairs.cluster]
        _, cluster = np.unique(self.pairs.cluster[keep], return_inverse=True)
        return Pairs(self.pairs.a[keep], self.pairs.b[keep], self.pairs.weight[keep], cluster.astype(np.int64))


def couples(
    run: Sequence[Measured], baseline: Sequence[Measured], names: tuple[str, str] | None = None
) -> list[Couple]:
    """Pair what run and baseline both measured, model by model; the run may hold fewer items, never others.

    `names` pairs one model of the run with one of the baseline; without it equal names are paired, or the only two.
    Raises HarnessError where a number of the baseline has no partner or was measured in another way.
    """
    models = [list(dict.fromkeys(m.result.cell.model for m in side)) for side in (run, baseline)]
    if names:
        for name, known in zip(names, models, strict=True):
            if name not in known:
                raise HarnessError(f"no model is called {name!r}", f"there are: {', '.join(known)}")
    matched = [names] if names else [(name, name) for name in models[1]]
    if not names and [len(m) for m in models] == [1, 1]:
        matched = [(models[0][0], models[1][0])]
    found = []
    for new_name, old_name in matched:
        mine = {(m.result.cell.task, *m.result.cell[2:]): m for m in run if m.result.cell.model == new_name}
        for old in (m for m in baseline if m.result.cell.model == old_name):
            new = mine.get((old.result.cell.task, *old.result.cell[2:]))
            if new is None:
                _, task, protocol, how = old.result.cell
                raise HarnessError(
                    f"the run has no number of {new_name} on {task} (protocol {protocol}, judge {how})",
                    "run the baseline's whole suite with its protocol and judge, or make a new reference",
                )
            found.append(_couple(new, old))
    if not found:
        raise HarnessError("run and baseline have no number in common", "compare runs of the same models and tasks")
    keys = [(couple.model, couple.task) for couple in found]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise HarnessError(
            f"the baseline has {twice[0]} on {twice[1]} under several protocols or judges",
            "gate with a baseline that was scored once",
        )
    return found


def _couple(new: Measured, old: Measured) -> Couple:
    cell = new.result.cell
    wanted = {unit.id for unit in new.units}
    shared = [unit for unit in old.units if unit.id in wanted]
    if new.result.data_sha256 != old.result.data_sha256 or len(shared) != len(new.units) or not shared:
        raise HarnessError(
            f"{cell.task}: run and baseline do not have the same items", "use the same data, or make a new reference"
        )
    return Couple(cell.model, cell.task, new, old, pair(new.units, shared))


def judge(
    policy: Policy, matched: Sequence[Couple], run: str = "run", baseline: str = "baseline", *, sequential: bool = False
) -> Gate:
    """The verdict on the couples. With `sequential`, items are looked at in `policy.looks` blocks until it is certain.

    Certain means: a must check failed, or all of them passed. The error rates hold although one may stop early; rates
    of read and failed items and speed are not sequential and always use all that is stored.
    """
    _all_named(policy, matched)
    fixed = [check for couple in matched for check in _rates(policy, couple, len(matched))] + _speeds(policy, matched)
    looks = policy.looks if sequential else 1
    scores = Scores(policy, sorted({(c.model, c.task) for c in matched}), looks)
    by_key = {(couple.model, couple.task): couple for couple in matched}
    checks: list[Check] = []
    share = 1.0
    for number in range(1, looks + 1):
        share = number / looks
        checks = scores.look({key: couple.part(share) for key, couple in by_key.items()})
        if scores.certain:
            break
    checks = [*checks, *fixed]
    return Gate(decide(checks), run, baseline, checks, share)


def decide(checks: Sequence[Check]) -> Decision:
    """NO-GO if a must failed; INCONCLUSIVE if a must is open or a should failed; else GO."""
    has = {(check.tier, check.status) for check in checks}
    if ("must", Status.FAILED) in has:
        return Decision.NO_GO
    if ("must", Status.OPEN) in has or ("should", Status.FAILED) in has:
        return Decision.INCONCLUSIVE
    return Decision.GO


class Scores:
    """The score checks of a gate over one or several looks at growing data: stop whenever `certain` is true.

    An evaluation that wants to stop early feeds clusters in random order, calls `look` after each of the planned
    equal blocks with all pairs so far, and stops when `certain`. Looks in other sizes or numbers are not covered.
    """

    def __init__(self, policy: Policy, keys: Sequence[tuple[str, str]], looks: int) -> None:
        """`keys` are (model, task) pairs."""
        self._policy, self._keys, self._looks, self._seen = policy, list(keys), looks, 0
        self._decided: dict[tuple[str, str], Check] = {}
        tiers = [(found[0], False) for _, task in keys if (found := policy.tier_of(task))]
        if policy.overall:
            tiers += [(policy.overall.tier, True) for _ in dict.fromkeys(model for model, _ in keys)]
        self._pass = boundaries(policy.alpha, looks)
        # Single tasks must not drown the means: where a tier has both, each kind has half of the false alarms.
        kinds = [tier for tier, _ in set(tiers)]
        self._fail = {
            (tier, mean): boundaries(policy.false_alarm / kinds.count(tier) / tiers.count((tier, mean)), looks)
            for tier, mean in set(tiers)
        }

    @property
    def certain(self) -> bool:
        """Whether no further look can turn the must checks: one failed, or all passed."""
        must = [check.status for check in self._decided.values() if check.tier == "must"]
        return Status.FAILED in must or (bool(must) and Status.OPEN not in must)

    def look(self, pairs: Mapping[tuple[str, str], Pairs]) -> list[Check]:
        """The checks after one more block; what an earlier look decided stays."""
        if self._seen == self._looks:
            raise ValueError(f"{self._looks} looks were planned")
        parts = {key: estimate(pairs[key]) for key in self._keys}
        for (model, task), part in parts.items():
            tier = self._policy.tier_of(task)
            if tier:
                self._check(model, task, tier[0], tier[1], part)
        if self._policy.overall:
            for model in dict.fromkeys(model for model, _ in self._keys):
                mean = mean_of([part for (name, _), part in parts.items() if name == model])
                self._check(model, _OVERALL, self._policy.overall.tier, self._policy.overall, mean)
        self._seen += 1
        return list(self._decided.values())

    def _check(self, model: str, task: str, tier: TierName, limits: Tier | Overall, part: Estimate) -> None:
        old = self._decided.get((model, task))
        if old is None or old.status is Status.OPEN:
            z_fail, z_pass = self._fail[tier, task == _OVERALL][self._seen], self._pass[self._seen]
            last = self._seen + 1 == self._looks
            self._decided[model, task] = _score_check(model, task, tier, limits, part, (z_fail, z_pass), last)


def _score_check(
    model: str, task: str, tier: TierName, limits: Tier | Overall, part: Estimate, boundary: tuple[float, float],
    last: bool,
) -> Check:  # fmt: skip
    """`boundary`: z to fail, z to pass. NaN statistics (one cluster) reach neither."""
    low, high = part.interval(float(special.ndtr(-boundary[1])))
    told = f"{part.points:+.2f} points ({low:+.2f} to {high:+.2f}): "
    if -part.points > limits.max_drop and part.z_below(0) >= boundary[0]:
        status, why = Status.FAILED, f"a drop above {limits.max_drop:g} that is not chance"
    elif limits.margin is None:
        status, why = Status.PASSED if last else Status.OPEN, "no regression shown, no proof demanded"
    elif part.z_above(-limits.margin) >= boundary[1]:
        status, why = Status.PASSED, f"a drop of {limits.margin:g} is excluded"
    else:
        status, why = Status.OPEN, f"neither a drop of {limits.margin:g} excluded nor a regression shown"
    return Check(tier, model, task, "score", status, -part.points, low, high, told + why)


_RATES: Sequence[tuple[str, str, Callable[[Measured], int]]] = (
    ("parse", "unread items", lambda m: m.result.items - m.result.states.get("scored", 0)),
    ("errors", "failed items", lambda m: m.result.states.get("error", 0) + m.result.states.get("judge_failed", 0)),
)


def _rates(policy: Policy, couple: Couple, tests: int) -> list[Check]:
    """Unread and failed items against the baseline: Fisher's exact test, one-sided, Bonferroni over the tasks."""
    found = policy.tier_of(couple.task)
    if found is None:
        return []
    tier, limits = found
    checks = []
    for kind, name, count in _RATES:
        allowed = limits.parse_drop if kind == "parse" else limits.error_rise
        bad = [(count(m), m.result.items - count(m)) for m in (couple.new, couple.old)]
        shares = [wrong / (wrong + right) for wrong, right in bad]
        rise = shares[0] - shares[1]
        p = float(stats.fisher_exact(bad, alternative="greater").pvalue)
        status = Status.PASSED
        if rise > allowed:
            status = Status.FAILED if p <= policy.false_alarm / tests else Status.OPEN
        told = f"{name}: {shares[0]:.1%}, baseline {shares[1]:.1%}, may rise by {allowed:.1%} (p = {p:.2g})"
        checks.append(Check(tier, couple.model, couple.task, kind, status, 100 * rise, None, None, told))
    return checks


def _speeds(policy: Policy, matched: Sequence[Couple]) -> list[Check]:
    """Items a second over all tasks, where both sides inferred every item themselves."""
    if policy.speed is None:
        return []
    checks = []
    for model in dict.fromkeys(couple.model for couple in matched):
        sides = [[getattr(c, side).result for c in matched if c.model == model] for side in ("new", "old")]
        if not all(r.inferred == r.items and r.seconds > 0 for side in sides for r in side):
            told = "not measured: some responses came from the store"
            checks.append(Check("watch", model, _OVERALL, "speed", Status.OPEN, float("nan"), None, None, told))
            continue
        new, old = (sum(r.items for r in side) / sum(r.seconds for r in side) for side in sides)
        drop = 1 - new / old
        status = Status.FAILED if drop > policy.speed.max_drop else Status.PASSED
        told = f"{new:.1f} items a second, baseline {old:.1f}, may drop by {policy.speed.max_drop:.0%}"
        checks.append(Check(policy.speed.tier, model, _OVERALL, "speed", status, 100 * drop, None, None, told))
    return checks


def _all_named(policy: Policy, matched: Sequence[Couple]) -> None:
    known = {couple.task for couple in matched}
    for name, tier in policy.tiers():
        unknown = [task for task in tier.tasks if task != EVERY and task not in known]
        if unknown:
            raise HarnessError(
                f"the policy's tier {name} names {unknown[0]!r}, which the baseline does not have",
                f"it has: {', '.join(sorted(known))}",
            )
