"""Where generation, judging, training and evaluation bound a run, from 1 to many GPUs: a small discrete model.

`in turn` is what trainers/run.py does: all GPUs do one phase of one stage after the other. `overlapped` splits them
into two pools, one that generates, judges and evaluates, one that trains: the teacher answers the next stages ahead
of the training, while the student's answers to a stage wait for the stage before it (`student_refresh: per_stage`).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from trainers.planning.assemble import RunPlan, plan_of
from trainers.planning.stages import Phase, StageCost

_SHARES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)  # of the GPUs that train, when phases overlap
_SERVE, _TRAIN, _EVALUATE = "serve", "train", "evaluate"


@dataclass(frozen=True, slots=True)
class Point:
    """The run on so many GPUs: wall seconds by phase in turn, in all, and overlapped with the share that trains.

    `peak` are bytes a GPU needs while training; where they are more than it has, `fits` is False.
    """

    gpus: int
    phases: Mapping[str, float]
    overlapped: float
    training_share: float
    peak: float
    fits: bool

    @property
    def in_turn(self) -> float:
        """Wall seconds, one phase after the other."""
        return sum(self.phases.values())

    @property
    def bound(self) -> str:
        """The phase that takes longest."""
        return max(self.phases, key=lambda phase: self.phases[phase])


def sweep(plan: RunPlan, counts: Sequence[int]) -> list[Point]:
    """The plan on each of so many GPUs."""
    return [_point(on_gpus(plan, gpus)) for gpus in counts]


def powers(largest: int) -> list[int]:
    """1, 2, 4, ... up to `largest`."""
    return [2**n for n in range(largest.bit_length()) if 2**n <= largest]


def on_gpus(plan: RunPlan, gpus: int) -> RunPlan:
    """The same plan on another number of GPUs."""
    return plan_of(replace(plan.setting, machine=plan.setting.machine.with_gpus(gpus)))


def _point(plan: RunPlan) -> Point:
    machine = plan.setting.machine
    peak = max(parts[-1].value for parts in plan.memory.values())
    best = (float("inf"), 0.0)
    for share in _SHARES if machine.gpus > 1 else ():
        train = max(1, min(machine.gpus - 1, round(share * machine.gpus)))
        trained = on_gpus(plan, train)
        best = min(best, (plan.seeds * overlapped(trained.stages, train, machine.gpus - train), train / machine.gpus))
    return Point(machine.gpus, plan.seconds(), *best, peak, peak <= machine.gpu.memory)


# ---------------------------------------------------------------- the discrete model


@dataclass(slots=True)
class _Task:
    """Work for one pool: `waits` counts the tasks before it, `then` are those that wait for it."""

    pool: str
    seconds: float
    order: tuple[int, int]
    waits: int = 0
    then: list[_Task] = field(default_factory=list)

    def before(self, *others: _Task) -> None:
        """Let others wait for this one."""
        for other in others:
            self.then.append(other)
            other.waits += 1


def overlapped(stages: Sequence[StageCost], train: int, serve: int) -> float:
    """Wall seconds of the stages with pools of `train` and `serve` GPUs: their events, simulated method by method."""
    return sum(_run(_tasks(method, train, serve)) for method in _by_method(stages))


def _by_method(stages: Sequence[StageCost]) -> list[list[StageCost]]:
    found: dict[str, list[StageCost]] = {}
    for stage in stages:
        found.setdefault(stage.method, []).append(stage)
    return list(found.values())


def _tasks(stages: Sequence[StageCost], train: int, serve: int) -> list[_Task]:
    """The tasks of one method's stages; earlier stages and phases go first where a pool has a choice."""
    found: list[_Task] = []
    before: _Task | None = None
    for place, stage in enumerate(stages):
        unit = stage.phases["generation"].unit
        teacher = _Task(_SERVE, _served(stage, "teacher", unit, serve), (place, 1))
        student = _Task(_SERVE, _served(stage, "student", 1, serve), (place, 0))
        judged = _Task(_SERVE, stage.phases["judging"].seconds(serve), (place, 2))
        trained = _Task(_TRAIN, stage.seconds("training", train), (place, 0))
        evaluated = _Task(_EVALUATE, stage.phases["evaluation"].seconds(1), (place, 0))
        teacher.before(judged)
        student.before(judged)
        judged.before(trained)
        trained.before(evaluated)
        if before is not None:
            before.before(student, trained)
        before = trained
        found += [teacher, student, judged, trained, evaluated]
    return found


def _served(stage: StageCost, who: str, unit: int, gpus: int) -> float:
    return Phase(stage.value(f"generation by the {who}"), gpus, unit).seconds(gpus)


def _run(tasks: Sequence[_Task]) -> float:
    """Each pool does one task at a time, the first in order of those that are ready; returns when the last ends."""
    ready: dict[str, list[tuple[tuple[int, int], int]]] = {_SERVE: [], _TRAIN: [], _EVALUATE: []}
    for number, task in enumerate(tasks):
        if not task.waits:
            heapq.heappush(ready[task.pool], (task.order, number))
    number_of = {id(task): number for number, task in enumerate(tasks)}
    ends: list[tuple[float, int]] = []
    idle, now = set(ready), 0.0
    while True:
        for pool in sorted(idle):
            if ready[pool]:
                _, number = heapq.heappop(ready[pool])
                idle.discard(pool)
                heapq.heappush(ends, (now + tasks[number].seconds, number))
        if not ends:
            return now
        now, number = heapq.heappop(ends)
        idle.add(tasks[number].pool)
        for follower in tasks[number].then:
            follower.waits -= 1
            if not follower.waits:
                heapq.heappush(ready[follower.pool], (follower.order, number_of[id(follower)]))
