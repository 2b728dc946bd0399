"""A recipe: everything a training run is decided by. Unknown keys are errors; every choice the paper leaves open is a
named setting with its default (docs/method.md says why).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.api import HarnessError
from trainers.recipe_errors import checked
from trainers.schedule import Masked, StageSpec, plan, stage_count

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """Base of all parts of a recipe: extra keys are errors, values are checked when set and frozen afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Hardware(Part):
    """What the recipe expects to run on; `harness recipe check` compares it with the machine."""

    gpus: Annotated[int, Field(ge=0)] = 0
    memory_gb: Annotated[int, Field(ge=0)] = 0
    note: str = ""


class Student(Part):
    """The model that is trained: a folder, `embedded/NAME` of the shipped ladder, or a hub id `owner/name[@commit]`."""

    model: str


class Teacher(Part):
    """A teacher of the curriculum, with its own mask schedule (Eq. 3)."""

    model: str
    r_max: Share = 0.2
    step: Annotated[float, Field(gt=0, le=1)] = 0.05

    @model_validator(mode="after")
    def _ends_at_zero(self) -> Teacher:
        try:
            stage_count(self.r_max, self.step)
        except HarnessError as error:
            raise ValueError(error.message) from error
        return self


class Masking(Part):
    """How a teacher is masked. The paper: magnitude, per layer, progressive."""

    criterion: Literal["magnitude", "random", "wanda"] = "magnitude"
    threshold: Literal["tensor", "global"] = "tensor"
    scope: Literal["lm_linear", "lm+vision_linear", "all_2d"] = "lm_linear"
    order: Literal["progressive", "reversed", "fixed"] = "progressive"
    fixed_ratio: Share | None = None
    calibration_questions: Annotated[int, Field(ge=1)] = 128
    seed: int = 0


class Sampling(Part):
    """How Gen-Data responses are drawn (paper 4.1; `max_new_tokens` is ours)."""

    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    top_k: Annotated[int, Field(ge=0)] = 50
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.05
    max_new_tokens: Annotated[int, Field(ge=1)] = 512


class Responses(Part):
    """The group of responses to one question (Table 5c: 4 of the teacher and 4 of the student)."""

    teacher: Annotated[int, Field(ge=0)] = 4
    student: Annotated[int, Field(ge=0)] = 4
    student_refresh: Literal["none", "per_stage"] = "per_stage"
    sampling: Sampling = Sampling()
    truncated: Literal["keep", "drop"] = "keep"
    backend: Literal["hf", "vllm"] = "hf"
    backend_options: dict[str, Any] = {}
    batch_questions: Annotated[int, Field(ge=1)] = 8


class Data(Part):
    """Training questions: sources that `harness.data` can open, and how the stages share them."""

    sources: Annotated[list[str], Field(min_length=1)]
    questions: Annotated[int, Field(ge=1)] | None = None
    validation: Annotated[int, Field(ge=0)] = 0
    order_seed: int = 0
    per_stage: Literal["slice", "full"] = "slice"
    split_between_teachers: Literal["by_stages", "equal"] = "by_stages"


class RewardJudge(Part):
    """Who grades a response, and how: `judge` asks once, `paper` makes the two calls of its appendix D, `task` lets the
    benchmark's own rules score it (for data that comes from a task). `name` as in `--judge`: rule, openai:MODEL, ...
    """

    name: str = "rule"
    grade: Literal["judge", "paper", "task"] = "judge"
    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_tokens: Annotated[int, Field(ge=1)] = 256
    unreadable: Literal["zero", "drop_question"] = "zero"


class Reward(Part):
    """R = accuracy * R_acc + distillation * R_distill (Eq. 6-7)."""

    accuracy: Weight = 1.0
    distillation: Weight = 1.0
    gate_by_accuracy: bool = False
    normalise: Literal["group", "none"] = "group"
    judge: RewardJudge = RewardJudge()


class DivergenceLoss(Part):
    """D between masked teacher and student (Eq. 4, 8)."""

    kind: Literal["jsd", "forward_kl", "reverse_kl", "skew_kl", "skew_reverse_kl"] = "jsd"
    beta: Annotated[float, Field(gt=0, lt=1)] = 0.5
    skew: Annotated[float, Field(gt=0, lt=1)] = 0.1
    temperature: Annotated[float, Field(gt=0)] = 1.0
    of_response: Literal["mean", "sum"] = "mean"
    weight: Weight = 1.0


class Policy(Part):
    """The GRPO term (Eq. 9-11)."""

    weight: Weight = 1.0
    kl: Weight = 0.1
    kl_estimator: Literal["k3"] = "k3"
    reference: Literal["initial", "previous_stage"] = "initial"
    advantage: Literal["std", "none"] = "std"
    epsilon: Annotated[float, Field(ge=0)] = 1e-4
    ddof: Literal[0, 1] = 1


class Optimizer(Part):
    """AdamW at a constant learning rate (paper 4.1); the rest is ours."""

    lr: Annotated[float, Field(gt=0)] = 1e-6
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: Weight = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    clip: Annotated[float, Field(gt=0)] = 1.0
    questions_per_step: Annotated[int, Field(ge=1)] = 32
    epochs: Annotated[int, Field(ge=1)] = 1
    reset: Literal["never", "per_teacher", "per_stage"] = "never"


class Train(Part):
    """How the student is trained on a machine; none of it changes the objective."""

    modules: Literal["all", "language", "language_linear", "language+projector"] = "all"
    precision: Literal["bf16", "fp32"] = "bf16"
    packing: Literal["auto", "off"] = "auto"
    questions_per_batch: Annotated[int, Field(ge=1)] = 1
    gradient_checkpointing: bool = True
    max_prompt_tokens: Annotated[int, Field(ge=1)] = 4096
    teacher: Literal["live", "cached"] = "live"
    cache_top_k: Annotated[int, Field(ge=1)] = 128
    save_steps: Annotated[int, Field(ge=1)] = 50
    engine: Literal["single", "ddp", "zero2", "zero3"] = "ddp"
    trackers: list[Literal["tensorboard", "wandb", "trackio"]] = []


class Evaluation(Part):
    """What every stage is evaluated on: a suite (or tasks, with commas), and where its items come from. `stage_limit`
    is the limit for stages that are not a method's last (None: as `limit`).
    """

    suite: str = "full"
    data: str = "mini"
    limit: Annotated[int, Field(ge=1)] | None = None
    stage_limit: Annotated[int, Field(ge=1)] | None = None
    teachers: Literal["none", "unmasked", "masked"] = "unmasked"
    stages: Literal["all", "last"] = "all"


class Method(Part):
    """A trainer to run, with settings of its own: dotted keys of the recipe, as `optimizer.lr: 3.0e-4`."""

    name: str
    set: dict[str, Any] = {}


class Recipe(Part):
    """A training run: what is distilled, from whom, on what, how, and by which methods."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    description: str = ""
    hardware: Hardware = Hardware()
    student: Student
    teachers: Annotated[list[Teacher], Field(min_length=1)]
    masking: Masking = Masking()
    responses: Responses = Responses()
    data: Data
    reward: Reward = Reward()
    divergence: DivergenceLoss = DivergenceLoss()
    policy: Policy = Policy()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()
    evaluation: Evaluation = Evaluation()
    methods: Annotated[list[Method], Field(min_length=1)] = [Method(name="masters")]
    seeds: Annotated[list[int], Field(min_length=1)] = [0]

    @field_validator("methods", mode="before")
    @classmethod
    def _names_are_methods(cls, value: Any) -> Any:
        return (
            [{"name": item} if isinstance(item, str) else item for item in value] if isinstance(value, list) else value
        )

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        names = [method.name for method in self.methods]
        if len(set(names)) < len(names):
            raise ValueError("a method is listed twice")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is listed twice")
        if self.responses.teacher + self.responses.student == 0:
            raise ValueError("responses: teacher + student is 0, so no question has a response")
        if self.masking.fixed_ratio is not None and self.masking.order != "fixed":
            raise ValueError("masking.fixed_ratio needs masking.order: fixed")
        if self.masking.criterion == "wanda" and self.masking.threshold == "global":
            raise ValueError("masking: wanda compares weights within an output row and has no global threshold")
        if self.masking.criterion == "wanda" and self.masking.scope == "all_2d":
            raise ValueError("masking: wanda scores the inputs of linear layers; choose lm_linear or lm+vision_linear")
        if self.reward.judge.grade == "paper" and self.reward.judge.name == "rule":
            raise ValueError("reward.judge: the paper's two calls need an LLM judge, not `rule`")
        return self

    def stages(self) -> list[StageSpec]:
        """The stages of the training, in order: (teacher, r) by the mask schedule."""
        teachers = [Masked(t.model, t.r_max, t.step) for t in self.teachers]
        return plan(teachers, self.masking.order, self.masking.fixed_ratio)

    def for_method(self, name: str) -> Recipe:
        """The recipe with the method's own settings applied and checked; HarnessError for an unknown method or key."""
        found = [method for method in self.methods if method.name == name]
        if not found:
            raise HarnessError(
                f"recipe {self.name!r} has no method {name!r}", f"it has {', '.join(m.name for m in self.methods)}"
            )
        return self.override(found[0].set, f"recipe {self.name!r}, method {name!r}")

    def override(self, settings: dict[str, Any], where: str) -> Recipe:
        """The recipe with dotted keys replaced (`optimizer.lr`, `teachers.0.r_max`), checked as a whole."""
        changed: Any = self.model_dump()
        for dotted, value in settings.items():
            *path, last = dotted.split(".")
            node = changed
            for key in path:
                node = _child(node, key, dotted, where)
            _child(node, last, dotted, where)
            node[int(last) if isinstance(node, list) else last] = value
        return checked(Recipe, changed, where)


def _child(node: Any, key: str, dotted: str, where: str) -> Any:
    """One step down a dotted key; the error lists the keys that exist there."""
    if isinstance(node, list) and re.fullmatch(r"\d+", key) and int(key) < len(node):
        return node[int(key)]
    if isinstance(node, dict) and key in node:
        return node[key]
    known = (
        list(node) if isinstance(node, dict) else [str(i) for i in range(len(node))] if isinstance(node, list) else []
    )
    raise HarnessError(f"{where}: {dotted!r} is no setting ({key!r} not found)", f"settings there: {', '.join(known)}")


def json_schema() -> dict[str, Any]:
    """The JSON schema of a recipe, for editors and for `harness recipe schema`."""
    return Recipe.model_json_schema()
