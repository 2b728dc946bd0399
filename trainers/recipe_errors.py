"""What is wrong with plain values that should be a model: file, line, key and the nearest known key, all at once."""

from __future__ import annotations

import difflib
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.api import HarnessError

Checked = TypeVar("Checked", bound=BaseModel)


def checked(model: type[Checked], values: Any, where: str, root: yaml.Node | None = None) -> Checked:
    """Validate plain values; all that is wrong is told at once, one line each."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_sentence(model, detail, where, root) for detail in error.errors()]
    raise HarnessError("\n".join(lines), "`harness recipe schema` lists every setting; docs/method.md explains them")


def _sentence(model: type[BaseModel], detail: ErrorDetails, where: str, root: yaml.Node | None) -> str:
    loc = tuple(detail["loc"])
    line = _line(root, loc)
    place = f"{where}:{line}" if line else where
    key = ".".join(map(str, loc)) or "recipe"
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), _fields(model, loc[:-1]), n=1, cutoff=0.5)
        hint = f", did you mean {near[0]!r}?" if near else f"; known here: {', '.join(_fields(model, loc[:-1]))}"
        return f"{place}: {key}: unknown setting{hint}"
    message = detail["msg"].removeprefix("Value error, ")
    given = (
        "" if detail["type"] == "missing" or isinstance(detail["input"], dict | list) else f" (is {detail['input']!r})"
    )
    return f"{place}: {key}: {message[0].lower()}{message[1:]}{given}"


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Names of the settings at a place of the model."""
    for key in loc:
        if isinstance(key, int):
            continue
        model = _part_of(model, key)
    return list(model.model_fields)


def _part_of(model: type[BaseModel], key: str) -> type[BaseModel]:
    """The part of a recipe that a key holds, through list[...] and Annotated[...]."""
    seen = [model.model_fields[key].annotation]
    while seen:
        kind = seen.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        seen.extend(getattr(kind, "__args__", ()))
    raise TypeError(f"{key} of {model.__name__} holds no settings")


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """The 1-based line of the deepest part of `loc` that the file has; 0 without a file."""
    if node is None:
        return 0
    line = node.start_mark.line + 1
    for key in loc:
        if isinstance(node, yaml.MappingNode):
            pairs = {k.value: (k, v) for k, v in node.value}
            if key not in pairs:
                return line
            line, node = pairs[str(key)][0].start_mark.line + 1, pairs[str(key)][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
    return line
