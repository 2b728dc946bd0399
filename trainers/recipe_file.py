"""Reading recipes: safe YAML, and errors that name the file, the line, the key and the nearest known key."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.api import HarnessError
from trainers.recipe import Recipe

_HERE = Path(__file__).resolve().parent


def folder() -> Path:
    """Where the ready recipes are: beside the packages in a checkout, inside `trainers` in an installed wheel."""
    installed = _HERE / "recipes"
    return installed if installed.is_dir() else _HERE.parent / "recipes"


def find(path: str | Path) -> Path:
    """The recipe's file: the path itself, or the ready recipe of that name."""
    if Path(path).is_file():
        return Path(path)
    ready = folder() / f"{path}.yaml"
    if ready.is_file():
        return ready
    names = sorted(file.stem for file in folder().glob("*.yaml"))
    near = difflib.get_close_matches(Path(path).stem, names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise HarnessError(f"no recipe at {path}", f"{hint}ready recipes: {', '.join(names)}")


def read(path: Path) -> Recipe:
    """The checked recipe of a YAML file."""
    text = path.read_text(encoding="utf-8")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise HarnessError(f"{path}:{line}: not YAML: {error.problem}", "mend the line; see recipes/") from error
    if not isinstance(root, yaml.MappingNode):
        raise HarnessError(f"{path}: a recipe is a mapping of settings", "start from one of recipes/")
    _refuse_duplicates(root, str(path))
    return checked(values, str(path), root)


def checked(values: Any, where: str, root: yaml.Node | None = None) -> Recipe:
    """Validate plain values; all that is wrong is told at once, one line each."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = [_sentence(detail, where, root) for detail in error.errors()]
    raise HarnessError("\n".join(lines), "`harness recipe schema` lists every setting; docs/method.md explains them")


def _sentence(detail: ErrorDetails, where: str, root: yaml.Node | None) -> str:
    loc = tuple(detail["loc"])
    line = _line(root, loc)
    place = f"{where}:{line}" if line else where
    key = ".".join(map(str, loc)) or "recipe"
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), _fields(loc[:-1]), n=1, cutoff=0.5)
        hint = f", did you mean {near[0]!r}?" if near else f"; known here: {', '.join(_fields(loc[:-1]))}"
        return f"{place}: {key}: unknown setting{hint}"
    message = detail["msg"].removeprefix("Value error, ")
    given = (
        "" if detail["type"] == "missing" or isinstance(detail["input"], dict | list) else f" (is {detail['input']!r})"
    )
    return f"{place}: {key}: {message[0].lower()}{message[1:]}{given}"


def _fields(loc: tuple[int | str, ...]) -> list[str]:
    """Names of the settings at a place of the recipe."""
    model: type[BaseModel] = Recipe
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


def _refuse_duplicates(node: yaml.Node, where: str) -> None:
    """YAML keeps the last of two equal keys without a word; a recipe must not."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise HarnessError(f"{where}:{key.start_mark.line + 1}: {key.value} is set twice", "keep one of them")
            seen.add(key.value)
            _refuse_duplicates(value, where)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_duplicates(value, where)
