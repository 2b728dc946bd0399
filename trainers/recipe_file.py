"""Reading recipes: safe YAML, and errors that name the file, the line, the key and the nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness.api import HarnessError
from trainers.recipe import Recipe
from trainers.recipe_errors import checked

_HERE = Path(__file__).resolve().parent


def folder() -> Path:
    """Where the ready recipes are: beside the packages in a checkout, inside `trainers` in an installed wheel."""
    installed = _HERE / "recipes"
    return installed if installed.is_dir() else _HERE.parent / "recipes"


def load_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe: a YAML file, or the name of a ready one (`embedded`). Errors name file, line and key."""
    return read(find(path))


def ready_recipes() -> Iterator[Path]:
    """The files of the ready recipes, by name."""
    return iter(sorted(folder().glob("*.yaml")))


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
    return checked(Recipe, values, str(path), root)


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
