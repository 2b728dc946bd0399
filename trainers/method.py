"""What a training method is: where its responses come from, which settings of the recipe it fixes, and nothing else.

Every method runs the same loop (trainers/loop.py) from the same start, over the same questions in the same order, for
the same number of optimizer steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.api import Stage

if TYPE_CHECKING:
    from trainers.context import Context
    from trainers.recipe import Recipe

#: gold: the text an ideal model says. mixed: the recipe's responses of teacher and student. teacher, student: as many
#: responses as mixed, all of one. half_student: gold and one student response for every other question.
Responses = Literal["gold", "mixed", "teacher", "student", "half_student"]

#: Distillation without a mask, in as many stages as the recipe's schedule has.
UNMASKED: Mapping[str, Any] = {"masking.order": "fixed", "masking.fixed_ratio": 0.0}
#: No policy term: the loss is the divergence alone.
NO_POLICY: Mapping[str, Any] = {"policy.weight": 0.0}


@dataclass(frozen=True)
class Method:
    """A trainer. `settings` are dotted keys of the recipe that define it and win over the recipe's; `likelihood` is the
    weight of -log p of the response. The docstring of a method's file says what differs (`harness trainers`).
    """

    title: str
    responses: Responses
    settings: Mapping[str, Any] = field(default_factory=dict)
    likelihood: float = 0.0

    def run(self, recipe: Recipe, context: Context) -> Iterator[Stage]:
        """Train one seed (the context's); a Stage after each (teacher, r)."""
        from trainers.loop import train

        return train(self, recipe, context)

    def resolved(self, recipe: Recipe, name: str) -> Recipe:
        """The recipe as this method runs it: with the settings the recipe gives it, then those that define it."""
        settings = dict(self.settings)
        if settings.get("masking.fixed_ratio") is None and settings.get("masking.order", "fixed") != "fixed":
            settings["masking.fixed_ratio"] = None
        return recipe.for_method(name).override(settings, f"recipe {recipe.name!r}, method {name!r}")
