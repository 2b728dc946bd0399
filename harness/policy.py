"""What a gate demands: a YAML file in which every limit is written down and an unknown key is an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.api import HarnessError

TierName = Literal["must", "should", "watch"]
TIERS: tuple[TierName, ...] = ("must", "should", "watch")
EVERY = "*"

Points = Annotated[float, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
    """Limits of one task.

    `margin`: the true drop, in points, that must be excluded to pass; null demands no proof. `max_drop`: a measured
    drop above it that is not chance fails. `parse_drop`, `error_rise`: how far the shares of unread and of failed items
    may rise.
    """

    margin: Annotated[float, Field(gt=0, le=100)] | None
    max_drop: Points
    parse_drop: Share
    error_rise: Share


class Tier(Limits):
    """Limits of the named tasks; `*` stands for all tasks that no tier names."""

    tasks: Annotated[tuple[str, ...], Field(min_length=1)]


class Overall(_Strict):
    """Limits of the mean over all tasks."""

    tier: TierName
    margin: Annotated[float, Field(gt=0, le=100)] | None
    max_drop: Points


class Speed(_Strict):
    """`max_drop`: the share of the baseline's items a second that may be lost."""

    tier: TierName
    max_drop: Share


class Policy(_Strict):
    """`alpha`: chance that a check passes although the true drop is its margin. `false_alarm`: chance that a tier's
    score checks fail although nothing dropped. `looks`: blocks of `--sequential`.

    `must` decides GO or NO-GO, a failed `should` makes the verdict INCONCLUSIVE, `watch` is only shown.
    """

    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    false_alarm: Annotated[float, Field(gt=0, lt=0.5)]
    looks: Annotated[int, Field(ge=1, le=20)]
    must: Tier | None = None
    should: Tier | None = None
    watch: Tier | None = None
    overall: Overall | None = None
    speed: Speed | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        named = [task for _, tier in self.tiers() for task in tier.tasks]
        twice = sorted({task for task in named if named.count(task) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} stands in more than one tier")
        if self.must is None and (self.overall is None or self.overall.tier != "must"):
            raise ValueError("nothing is in tier must, so nothing could ever be NO-GO")
        return self

    def tiers(self) -> Iterator[tuple[TierName, Tier]]:
        """The tiers that the file has."""
        for name in TIERS:
            tier: Tier | None = getattr(self, name)
            if tier is not None:
                yield name, tier

    def tier_of(self, task: str) -> tuple[TierName, Tier] | None:
        """The tier that names the task, else the one with `*`, else None: the task counts in `overall` only."""
        for wanted in (task, EVERY):
            for name, tier in self.tiers():
                if wanted in tier.tasks:
                    return name, tier
        return None


def read_policy(path: Path) -> Policy:
    """The policy of a YAML file; HarnessError names the key that is wrong."""
    remedy = "results/policy.yaml is an example; docs/gate.md says what the keys are"
    try:
        return Policy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise HarnessError(f"the policy {path} cannot be read: {error.strerror}", "check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path} is not YAML: {' '.join(str(error).split())}", remedy) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise HarnessError(f"{path}: {where}: {first['msg']}", remedy) from error
