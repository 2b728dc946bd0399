"""What defines a training method: where its responses come from, and which settings of the recipe it fixes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from trainers.recipe import Recipe

#: gold: the text an ideal model says. mixed: the recipe's responses of teacher and student. teacher, student: as many
#: responses as mixed, all of one. half_student: gold and one student response for every other question.
Responses = Literal["gold", "mixed", "teacher", "student", "half_student"]


@dataclass(frozen=True)
class Definition:
    """A method. `settings` are dotted keys of the recipe that define it and win over the recipe's; `likelihood` is the
    weight of -log p of the response. The docstring of a method's file says what differs (`harness trainers`).
    """

    title: str
    responses: Responses
    settings: Mapping[str, Any] = field(default_factory=dict)
    likelihood: float = 0.0

    def resolved(self, recipe: Recipe, name: str) -> Recipe:
        """The recipe as this method runs it: with the settings the recipe gives it, then those that define it."""
        settings = dict(self.settings)
        if settings.get("masking.fixed_ratio") is None and settings.get("masking.order", "fixed") != "fixed":
            settings["masking.fixed_ratio"] = None
        return recipe.for_method(name).override(settings, f"recipe {recipe.name!r}, method {name!r}")
