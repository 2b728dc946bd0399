"""The plan of a recipe on a machine: what it needs in memory, disk, tokens and hours, figures with their formulas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import registry
from harness.data import open_dataset
from trainers.method import Method
from trainers.order import plan_stages
from trainers.planning import disk, memory
from trainers.planning.architecture import architecture
from trainers.planning.formula import Figure
from trainers.planning.machine import Machine
from trainers.planning.stages import PHASES, Costs, Setting, StageCost, judge_model
from trainers.planning.workload import Assumptions, lengths
from trainers.responses import counts
from trainers.run import Plan


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything `harness plan` shows. `memory` maps a method to the figures of one GPU, the peak last."""

    setting: Setting
    memory: Mapping[str, Sequence[Figure]]
    stages: Sequence[StageCost]
    disk: Sequence[Figure]
    evaluations: int

    @property
    def seeds(self) -> int:
        """How often the methods are trained."""
        return len(self.setting.recipe.seeds)

    def seconds(self, gpus: int | None = None) -> dict[str, float]:
        """Wall seconds by phase of the whole run, one phase after the other as trainers/run.py goes."""
        gpus = gpus or self.setting.machine.gpus
        found = {phase: self.seeds * sum(stage.seconds(phase, gpus) for stage in self.stages) for phase in PHASES}
        found["evaluation"] += self.evaluations * max(stage.seconds("evaluation", gpus) for stage in self.stages)
        return found

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """Every figure with the part of the plan that it belongs to."""
        for method, found in self.memory.items():
            yield from ((f"memory of a GPU, {method}", part) for part in found)
        for stage in self.stages:
            where = f"{stage.method} stage {stage.index + 1} ({stage.teacher} r={stage.ratio:g})"
            yield from ((where, part) for part in stage.figures)
        yield from (("disk", part) for part in self.disk)


def make_plan(plan: Plan, machine: Machine, assumed: Assumptions, configs: Mapping[str, Path] = {}) -> RunPlan:
    """The plan of a recipe's run (`trainers.run.plan_run`) on a machine; `configs` maps models to config.json files."""
    recipe = plan.recipe
    judge = judge_model(recipe)
    names = dict.fromkeys([recipe.student.model, *(t.model for t in recipe.teachers), *([judge] if judge else [])])
    models = {name: architecture(name, configs.get(name)) for name in names}
    return plan_of(Setting(recipe, models, machine, assumed, lengths(recipe, assumed), _items(plan)))


def plan_of(setting: Setting) -> RunPlan:
    """The plan of a setting whose models and lengths are known."""
    recipe = setting.recipe
    stages = Costs(setting).all()
    ratios = len({(s.teacher, s.ratio) for s in stages if s.ratio})
    others = 1 + (0 if recipe.evaluation.teachers == "none" else len(recipe.teachers))
    evaluations = others + (ratios if recipe.evaluation.teachers == "masked" else 0)
    needed = {method.name: _memory(setting, method.name) for method in recipe.methods}
    return RunPlan(setting, needed, stages, _disk(setting, stages), evaluations)


def _items(plan: Plan) -> tuple[int, int]:
    """Items of one evaluation of the recipe's suite: of a method's last stage, and of the stages before it."""
    tasks = [registry.task(name) for name in plan.tasks]
    sizes = [len(open_dataset(task, plan.data)) if plan.data != "hub" else task.hub.rows or 0 for task in tasks]
    last = sum(min(size, plan.limit or size) for size in sizes)
    limits = [limit for limit in (plan.recipe.evaluation.stage_limit, plan.limit) if limit]
    between = sum(min([size, *limits]) for size in sizes)
    return last, between if plan.recipe.evaluation.stages == "all" else 0


def _memory(setting: Setting, name: str) -> list[Figure]:
    method: Method = registry.load("trainers", name)
    recipe, gpus = method.resolved(setting.recipe, name), setting.machine.gpus
    student = setting.models[recipe.student.model]
    teacher = max((setting.models[t.model] for t in recipe.teachers), key=lambda model: model.parameters)
    held = memory.student_memory(recipe, student, gpus)
    of_teacher, of_student = counts(method.responses, recipe.responses)
    signals = recipe.divergence.weight > 0 or (recipe.policy.weight > 0 and recipe.reward.distillation > 0)
    if (signals and recipe.train.teacher == "live") or of_teacher:
        held.append(memory.frozen_memory(recipe, "teacher weights", teacher, gpus))
    if recipe.policy.weight > 0 and recipe.policy.kl > 0 and recipe.train.teacher == "live":
        held.append(memory.frozen_memory(recipe, "reference weights", student, gpus))
    stages = plan_stages(recipe, setting.length.questions)
    group, gold = max(1, of_teacher + of_student), method.responses == "gold"
    batch = memory.batch_of(recipe, setting.length, stages, group, gold, longest=True)
    work = memory.activations(recipe, student, batch)
    if not setting.machine.gpu.shares_host:
        return [*held, *work, memory.total("peak", [*held, *work])]
    kept = memory.host_caches(recipe, student, setting.length)
    step = memory.total("a step", work)
    if not (of_teacher or of_student):
        return [*held, kept, *work, memory.total("peak", [*held, kept, step])]
    asked = max(len(stage.questions) for stage in stages) * max(of_teacher, of_student)
    answer = memory.generating(recipe, teacher, setting.length, asked)
    absent = {"gradients"} if len(stages) > 1 else {"gradients", "optimizer"}  # before a first step there is no state
    answering = memory.total("while generating", [*(p for p in held if p.name not in absent), *answer])
    most = max(memory.total("while training", [*held, step]), answering, key=lambda part: part.value)
    return [*held, kept, *work, *answer, memory.total("peak", [kept, most])]


def _disk(setting: Setting, stages: Sequence[StageCost]) -> list[Figure]:
    """What the run leaves on disk, and what it needs at its fullest."""
    recipe, seeds = setting.recipe, len(setting.recipe.seeds)
    student = setting.models[recipe.student.model]
    found = [
        _summed("Gen-Data", [f for s in stages for f in s.figures if f.name == "Gen-Data"], seeds),
        _summed("teacher cache", [f for s in stages for f in s.figures if f.name == "teacher cache"], seeds),
        _summed("checkpoints", [disk.checkpoint(recipe, student)] * len(stages), seeds),
        disk.state(recipe, student),
    ]
    masked = {(s.teacher, s.ratio) for s in stages if s.value("generated by the teacher")}
    saved = [disk.served(recipe, setting.models[teacher]) for teacher, _ in sorted(masked)]
    found.append(_summed("masked teachers for the engine", saved, 1))
    return [*found, memory.total("disk", found)]


def _summed(name: str, parts: Sequence[Figure], times: int) -> Figure:
    value = times * sum(part.value for part in parts)
    first = parts[0].explained() if parts else "none"
    return Figure(name, value, "B", note=f"{times} x {len(parts)} of: {first}")


def as_json(plan: RunPlan) -> str:
    """The plan as JSON: machine, models, lengths, assumptions, stages with their figures, memory, disk, totals."""
    from dataclasses import asdict

    at = plan.setting
    seconds = plan.seconds()
    hours = sum(seconds.values()) / 3600
    body: dict[str, Any] = {
        "recipe": at.recipe.name,
        "machine": {"name": at.machine.name, "gpus": at.machine.gpus, "price": at.machine.price,
                    **at.machine.gpu.model_dump()},
        "models": {name: {**asdict(model), "parameters": model.parameters} for name, model in at.models.items()},
        "lengths": asdict(at.length), "assumptions": asdict(at.assumed), "evaluation_items": at.items,
        "memory": {name: [asdict(part) for part in parts] for name, parts in plan.memory.items()},
        "stages": [
            {
                "method": s.method, "index": s.index, "teacher": s.teacher, "r": s.ratio, "questions": s.questions,
                "steps": s.steps, "step_seconds": s.step_seconds,
                "seconds": {phase: s.seconds(phase, at.machine.gpus) for phase in PHASES},
                "figures": [asdict(part) for part in s.figures],
            }
            for s in plan.stages
        ],
        "disk": [asdict(part) for part in plan.disk],
        "total": {"seeds": plan.seeds, "seconds": seconds, "hours": hours, "gpu_hours": hours * at.machine.gpus,
                  "cost": hours * at.machine.gpus * at.machine.price},
    }  # fmt: skip
    return json.dumps(body, indent=1)
