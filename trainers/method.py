"""A training method as a plug-in: its definition, and the loop that runs it.

Every method runs the same loop (trainers/loop.py) from the same start, over the same questions in the same order, for
the same number of optimizer steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from harness.api import Stage
from trainers.definition import Definition

if TYPE_CHECKING:
    from trainers.context import Context
    from trainers.recipe import Recipe

#: Distillation without a mask, in as many stages as the recipe's schedule has.
UNMASKED: Mapping[str, Any] = {"masking.order": "fixed", "masking.fixed_ratio": 0.0}
#: No policy term: the loss is the divergence alone.
NO_POLICY: Mapping[str, Any] = {"policy.weight": 0.0}


class Method(Definition):
    """A trainer of `harness trainers`: a definition that the loop runs."""

    def run(self, recipe: Recipe, context: Context) -> Iterator[Stage]:
        """Train one seed (the context's); a Stage after each (teacher, r)."""
        from trainers.loop import train

        return train(self, recipe, context)
