"""A judge's spec as the command line states it: `MODEL?option=value&option=value`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from harness.api import HarnessError

#: What a model is called, then how the value of each option is read.
Options = Mapping[str, Callable[[str], Any]]


def parse_spec(judge: str, spec: str, known: Options) -> tuple[str, dict[str, Any]]:
    """The model's name and the options; HarnessError for an unknown option, a wrong value, or no model."""
    model, _, query = spec.partition("?")
    if not model:
        raise HarnessError(f"the judge {judge!r} needs a model", f"write --judge {judge}:MODEL")
    try:
        stated = parse_qsl(query, strict_parsing=True, keep_blank_values=True) if query else []
    except ValueError as error:
        raise HarnessError(
            f"the options of the judge {judge!r} cannot be read ({error})",
            f"write --judge '{judge}:MODEL?option=value&option=value'",
        ) from error
    options: dict[str, Any] = {}
    for name, value in stated:
        if name not in known:  # the value is not repeated: it may be a key
            raise HarnessError(
                f"the judge {judge!r} has no option {name!r}",
                f"it has {', '.join(known)}; a key is never given here but in OPENAI_API_KEY",
            )
        try:
            options[name] = known[name](value)
        except ValueError as error:
            raise HarnessError(f"the judge's option {name}={value!r} cannot be read: {error}", "correct it") from error
    return model, options


def at_least(least: float, kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """A reader of numbers from `least` on."""

    def read(value: str) -> Any:
        number = kind(value)
        if not number >= least:
            raise ValueError(f"it must be at least {least}")
        return number

    return read
