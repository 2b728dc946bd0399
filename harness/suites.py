"""Suites (named lists of tasks) and composites (columns that average tasks), read from YAML files.

Packages register theirs as entry points `harness.suites` (a path); a user's file adds to them or replaces them by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from harness import registry
from harness.api import HarnessError, Metrics
from harness.scoring.aggregate import standard_error

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Suite(_Strict):
    """Tasks, composites or other suites, in the order of the table; about `limit` items of each task."""

    tasks: Names
    limit: PositiveInt | None = None
    title: str = ""


class Composite(_Strict):
    """A column that is the unweighted mean of tasks (MMMU-Pro: of its standard and its vision setting)."""

    title: str
    mean: Names

    def combine(self, parts: Mapping[str, Metrics]) -> Metrics:
        """The mean of the parts' scores, as weighted units.

        Clusters keep their names, so questions that the parts share are not counted as independent; for the standard
        error each part's units vary around the part's own mean, since the parts are fixed.
        """
        share = 1 / len(self.mean)
        units = tuple(
            replace(unit, id=f"{task}/{unit.id}", weight=unit.weight * share)
            for task in self.mean
            for unit in parts[task].units
        )
        centred = [
            replace(unit, score=unit.score - parts[task].score / 100, weight=unit.weight * share)
            for task in self.mean
            for unit in parts[task].units
        ]
        score = sum(parts[task].score for task in self.mean) * share
        return Metrics(score, 100 * standard_error(centred, 0.0), len(units), {}, units)


class _File(_Strict):
    suites: dict[str, Suite] = {}
    composites: dict[str, Composite] = {}


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run evaluates: task names in order without repeats, items a task (None: all), composites they complete."""

    tasks: tuple[str, ...]
    limit: int | None
    composites: Mapping[str, Composite]


@dataclass(frozen=True, slots=True)
class Suites:
    """All known suites and composites."""

    suites: Mapping[str, Suite]
    composites: Mapping[str, Composite]

    def resolve(self, names: str | Iterable[str]) -> Selection:
        """The tasks behind the name of a suite, composite or task, or behind several names; HarnessError if unknown.

        The limit is that of the suites named; suites of different limits cannot be combined.
        """
        asked = [names] if isinstance(names, str) else list(names)
        tasks = tuple(dict.fromkeys(task for name in asked for task in self._tasks(name.strip(), ())))
        limits = {self.suites[name.strip()].limit if name.strip() in self.suites else None for name in asked}
        if len(limits) > 1:
            raise HarnessError(f"{', '.join(asked)} have different limits of items", "evaluate them in separate runs")
        whole = {name: made for name, made in self.composites.items() if set(made.mean) <= set(tasks)}
        return Selection(tasks, limits.pop() if limits else None, whole)

    def _tasks(self, name: str, inside: tuple[str, ...]) -> Iterator[str]:
        if name in inside:
            raise HarnessError(f"the suite {name!r} contains itself: {' > '.join((*inside, name))}", "break the circle")
        if name in self.suites:
            for part in self.suites[name].tasks:
                yield from self._tasks(part, (*inside, name))
        elif name in self.composites:
            for part in self.composites[name].mean:
                yield _known_task(part)
        else:
            yield _known_task(name, (*self.suites, *self.composites))


def _known_task(name: str, others: Iterable[str] = ()) -> str:
    known = registry.names("tasks")
    if name.partition(":")[0] in registry.names("bridges"):
        return registry.task(name).name
    if name not in known:
        near = difflib.get_close_matches(name, [*known, *others], n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise HarnessError(
            f"no task, composite or suite is called {name!r}", f"{hint}`harness tasks` and `harness suites` list them"
        )
    return name


def counted(tasks: Iterable[str], composites: Mapping[str, Composite]) -> list[str]:
    """What an average over the tasks counts: a composite whose parts are all there stands for them, once."""
    names = list(tasks)
    owner = {part: name for name, made in composites.items() if set(made.mean) <= set(names) for part in made.mean}
    return list(dict.fromkeys(owner.get(name, name) for name in names))


def shares(tasks: Iterable[str], composites: Mapping[str, Composite]) -> dict[str, float]:
    """The weight of each task in such an average; they sum to 1."""
    names = list(tasks)
    whole = counted(names, composites)
    found: dict[str, float] = {}
    for name in whole:
        parts = [name] if name in names else composites[name].mean
        found |= {part: 1 / len(whole) / len(parts) for part in parts}
    return found


def load_suites(path: Path | None = None) -> Suites:
    """The suites of the installed packages and those of the user's YAML file, which win. Raises HarnessError."""
    suites: dict[str, Suite] = {}
    composites: dict[str, Composite] = {}
    files = [Path(registry.load("suites", name)) for name in registry.names("suites")]
    if not files:
        raise HarnessError("no installed package registers suites", "install this one again: pip install -e .")
    for file in [*files, path] if path else files:
        read = _read(file)
        suites.update(read.suites)
        composites.update(read.composites)
    both = sorted({*suites, *composites} & set(registry.names("tasks")) | (suites.keys() & composites.keys()))
    if both:
        raise HarnessError(f"the name {both[0]!r} stands for two things", "rename the suite or composite of that name")
    return Suites(suites, composites)


def _read(path: Path) -> _File:
    form = "the form is: suites: {NAME: {tasks: [...], limit: N}}, composites: {NAME: {title: ..., mean: [...]}}"
    try:
        return _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise HarnessError(f"the suites file {path} cannot be read: {error.strerror}", "check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path} is not YAML: {' '.join(str(error).split())}", form) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise HarnessError(f"{path}: {where}: {first['msg']}", form) from error
