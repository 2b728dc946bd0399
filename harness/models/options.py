"""A backend's options as the command line states them; keys are never among them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import yaml

from harness import registry
from harness.api import HarnessError, Model

_WORD = re.compile(r"[A-Za-z]+")
#: Options are written into the manifest: what must not be read there is refused.
_SECRETS = {"api_key", "apikey", "key", "token", "hf_token", "secret", "password"}


def parse_options(stated: Sequence[str]) -> dict[str, Any]:
    """Options from NAME=VALUE; values are read as YAML: numbers, true and false, {a: 1}, else text."""
    return dict(_option(*text.partition("=")) for text in stated)


def parse_model(spec: str) -> tuple[str, str, dict[str, Any]]:
    """(backend, checkpoint, options) of `[BACKEND:]CHECKPOINT[?name=value&name=value]`; the backend is hf if not said.

    What stands before a colon is a backend only where one is called so (a path may hold colons).
    """
    head, _, query = spec.partition("?")
    backend, colon, checkpoint = head.partition(":")
    if not colon or backend not in registry.names("models"):
        backend, checkpoint = "hf", head
    try:
        pairs = parse_qsl(query, strict_parsing=True, keep_blank_values=True) if query else []
    except ValueError as error:
        raise HarnessError(
            f"the options of {head!r} cannot be read ({error})", f"write '{head}?option=value&option=value'"
        ) from error
    return backend, checkpoint, dict(_option(name, "=", value) for name, value in pairs)


def open_model(backend: str, checkpoint: str, options: Mapping[str, Any]) -> Model:
    """Open a checkpoint with a backend; HarnessError for what the user can mend."""
    model: Model = registry.load("models", backend)(checkpoint, **options)
    return model


def load_model(model: Model) -> None:
    """Let a model that loads at its first request do so now, so that what it cannot load is known."""
    if hasattr(model, "load"):
        model.load()


def close_model(model: Model) -> None:
    """End what a model keeps running (an engine), so that the next one has its memory."""
    if hasattr(model, "close"):
        model.close()


def check_options(backend: str, given: Mapping[str, Any], takes: Callable[..., Any], *more: str) -> None:
    """HarnessError where an option is neither a keyword-only parameter of `takes` nor one of `more`, or of no kind
    that the parameter's annotation names.
    """
    parameters = inspect.signature(takes).parameters.values()
    known = {p.name: str(p.annotation) for p in parameters if p.kind is p.KEYWORD_ONLY} | dict.fromkeys(more, "Any")
    for name, value in given.items():
        if name not in known:
            raise HarnessError(f"backend {backend} has no option {name!r}", f"it has: {', '.join(sorted(known))}")
        kinds = set(_WORD.findall(known[name]))
        kind = "None" if value is None else type(value).__name__
        if not kinds & {kind, "Any", "Callable"} and not (kind == "int" and "float" in kinds):
            raise HarnessError(f"backend {backend}: option {name} cannot be {value!r}", f"give {known[name]}")


def _option(name: str, equals: str, value: str) -> tuple[str, Any]:
    name = name.strip().replace("-", "_")
    if name.lower() in _SECRETS:  # the value is not repeated
        raise HarnessError(
            f"{name!r} is no option: options are written into the run's manifest",
            "give keys in the environment: OPENAI_API_KEY for backend openai, HF_TOKEN for the hub",
        )
    if not equals or not name.isidentifier():
        raise HarnessError(f"the option {name!r} has no value", "write NAME=VALUE, for instance max_num_seqs=64")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise HarnessError(
            f"the value of option {name} cannot be read", "write a number, true, text or {a: 1}"
        ) from error
