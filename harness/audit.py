"""Forensic checks of a table of scores: could these numbers have been measured?

Every check allows for rounding of the printed cells and is set so that independent measurements hardly ever trip it.
A finding is a question to the authors, not a proof.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api import HarnessError

AVERAGE = "average"
_TEXT = ("model", "method", "source")
_CONSTANT_CELLS = 6  # shared benchmarks from which on a constant difference is not chance
_FRACTION_CELLS = 8  # the same for a fixed fraction: there are many triples of rows
_FRACTION_GAP = 8  # a gap of fewer rounding units says nothing about a fraction
_FRACTION_SPREAD = 4  # steps that are nearly equal agree with a fraction by rounding alone
_DUPLICATE_CELLS = 4
_PARTLY = 0.6  # share of equal cells from which on a row counts as partly copied


@dataclass(frozen=True)
class Table:
    """Rows of scores in units of the last printed digit [R, B], NaN where empty; `unit` is that digit in points."""

    models: Sequence[str]
    files: Sequence[str]
    benchmarks: Sequence[str]
    cells: NDArray[np.float64]
    averages: NDArray[np.float64]
    unit: float

    def name(self, row: int) -> str:
        """The row as findings name it."""
        return f"{self.models[row]} ({self.files[row]})" if len(set(self.files)) > 1 else self.models[row]

    def shared(self, *rows: int) -> NDArray[np.bool_]:
        """Which benchmarks all of the rows have [B]."""
        known: NDArray[np.bool_] = np.logical_not(np.isnan(self.cells[list(rows)]).any(axis=0))
        return known


@dataclass(frozen=True)
class Finding:
    """What is odd: the check, the rows, and a sentence with the numbers."""

    check: str
    rows: Sequence[str]
    told: str


def audit(table: Table, items: Mapping[str, int] | None = None) -> list[Finding]:
    """All findings. `items`: number of questions of a benchmark whose score is a plain share of right answers."""
    twins = set(_equal_rows(table))
    first = [row for row in range(len(table.models)) if row not in {b for _, b in twins}]
    return [
        *grim(table, items or {}),
        *averages(table),
        *constant_differences(table, first),
        *fixed_fractions(table, first),
        *duplicates(table, twins),
        *conflicts(table),
    ]


def grim(table: Table, items: Mapping[str, int]) -> Iterator[Finding]:
    """Scores that no number of right answers gives (Brown and Heathers, SPPS 2017), both ways of rounding halves."""
    for name, count in items.items():
        if name not in table.benchmarks:
            raise HarnessError(f"the table has no column {name!r}", f"it has: {', '.join(table.benchmarks)}")
        column = table.cells[:, table.benchmarks.index(name)]
        for row in map(int, np.flatnonzero(~np.isnan(column))):
            score = column[row] * table.unit
            right = np.arange(np.floor(score * count / 100) - 1, np.ceil(score * count / 100) + 2)
            off = np.abs(100 * right / count - score).min()
            if off > table.unit / 2 + 1e-9:
                told = f"{name} {score:.6g} is not a share of {count} questions; the nearest is off by {off:.3f}"
                yield Finding("grim", [table.name(row)], told)


def averages(table: Table) -> Iterator[Finding]:
    """Printed averages that are not the mean of the printed cells of a whole row."""
    for row in map(int, np.flatnonzero(~np.isnan(table.averages))):
        if not table.shared(row).all():
            continue
        printed, mean = table.averages[row] * table.unit, table.cells[row].mean() * table.unit
        if abs(printed - mean) > table.unit + 1e-9:  # half a unit for the cells, half a unit for the average
            yield Finding("average", [table.name(row)], f"average {printed:.6g} printed, {mean:.3f} from the cells")


def constant_differences(table: Table, rows: Sequence[int]) -> Iterator[Finding]:
    """Two of the rows that differ by the same printed amount on every benchmark."""
    for a, b in combinations(rows, 2):
        both = table.shared(a, b)
        difference = (table.cells[b] - table.cells[a])[both]
        if len(difference) < _CONSTANT_CELLS or np.ptp(difference) > 0:
            continue
        told = f"{difference[0] * table.unit:+.6g} on all {len(difference)} benchmarks"
        yield Finding("constant difference", [table.name(a), table.name(b)], told)


def fixed_fractions(table: Table, rows: Sequence[int]) -> Iterator[Finding]:
    """A row that lies at one fraction of the way between two others on every benchmark, as far as rounding tells."""
    for a, c in permutations(rows, 2):
        both = table.shared(a, c)
        if not both.any() or (table.cells[c] - table.cells[a])[both].mean() <= 0:
            continue
        for b in rows:
            found = _fraction(table, a, b, c) if b not in (a, c) else None
            if found:
                low, high, count = found
                told = f"between {low:.3f} and {high:.3f} of the way on all {count} benchmarks"
                yield Finding("fixed fraction", [table.name(r) for r in (a, b, c)], told)


def _fraction(table: Table, a: int, b: int, c: int) -> tuple[float, float, int] | None:
    """The fractions that agree with every cell, each cell being off by half a unit at most; None if there is none."""
    shared = table.shared(a, b, c)
    gap, step = ((table.cells[row] - table.cells[a])[shared] for row in (c, b))
    wide = np.abs(gap) >= _FRACTION_GAP
    if wide.sum() < _FRACTION_CELLS or min(np.ptp(step[wide]), np.ptp((gap - step)[wide])) < _FRACTION_SPREAD:
        return None
    gap, step = np.abs(gap)[wide], (np.sign(gap) * step)[wide]
    # Differences of two printed cells are off by one unit at most.
    low, high = float(((step - 1) / (gap + 1)).max()), float(((step + 1) / (gap - 1)).min())
    return (low, high, int(wide.sum())) if 0 < low <= high < 1 else None


def duplicates(table: Table, twins: set[tuple[int, int]]) -> Iterator[Finding]:
    """Rows of different models with the same cells, all of them or most of them."""
    for a, b in combinations(range(len(table.models)), 2):
        if table.models[a] == table.models[b]:
            continue
        both = table.shared(a, b)
        equal = (table.cells[a] == table.cells[b])[both]
        names = [table.name(a), table.name(b)]
        if (a, b) in twins:
            yield Finding("duplicate row", names, f"all {len(equal)} benchmarks are equal")
        elif len(equal) >= _FRACTION_CELLS and equal.mean() >= _PARTLY:
            yield Finding("copied cells", names, f"{equal.sum()} of {len(equal)} benchmarks are equal")


def conflicts(table: Table) -> Iterator[Finding]:
    """Rows of the same name, in one or several tables, with different numbers."""
    for a, b in combinations(range(len(table.models)), 2):
        if table.models[a] != table.models[b]:
            continue
        both = table.shared(a, b)
        apart = [i for i in map(int, np.flatnonzero(both)) if table.cells[a, i] != table.cells[b, i]]
        if apart:
            shown = ", ".join(
                f"{table.benchmarks[i]} {table.cells[a, i] * table.unit:.6g} / {table.cells[b, i] * table.unit:.6g}"
                for i in apart
            )
            yield Finding("conflict", [table.name(a), table.name(b)], shown)


def _equal_rows(table: Table) -> Iterator[tuple[int, int]]:
    for a, b in combinations(range(len(table.models)), 2):
        both = table.shared(a, b)
        if both.sum() >= _DUPLICATE_CELLS and (table.cells[a] == table.cells[b])[both].all():
            yield a, b


# ---------------------------------------------------------------- reading


def read_table(paths: Iterable[Path]) -> Table:
    """One table of CSV files with `model`, optionally `method`, `source`, `average`, and a column a benchmark.

    A leaderboard of `harness leaderboard` is such a file too (columns of errors and counts are left out). Raises
    HarnessError naming file and row for a cell that is no number.
    """
    rows: list[tuple[str, str, dict[str, Decimal]]] = []
    for path in paths:
        rows += [(model, path.stem, cells) for model, cells in _rows(path)]
    if not rows:
        raise HarnessError("the tables have no rows", "name a CSV file with a column `model` and columns of scores")
    benchmarks = list(dict.fromkeys(name for _, _, cells in rows for name in cells if name != AVERAGE))
    digits = max((_digits(value) for _, _, cells in rows for value in cells.values()), default=0)
    values = np.full((len(rows), len(benchmarks)), np.nan)
    means = np.full(len(rows), np.nan)
    for i, (_, _, cells) in enumerate(rows):
        for name, value in cells.items():
            scaled = float(value.scaleb(digits))
            if name == AVERAGE:
                means[i] = scaled
            else:
                values[i, benchmarks.index(name)] = scaled
    return Table([m for m, _, _ in rows], [f for _, f, _ in rows], benchmarks, values, means, 10.0**-digits)


def _digits(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Decimal]]]:
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), restval="", strict=True)
        header, lines = list(reader.fieldnames or ()), list(reader)
    except OSError as error:
        raise HarnessError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HarnessError(f"{path} is not a CSV file: {error}", "save it as CSV in UTF-8") from error
    if "model" not in header:
        raise HarnessError(f"{path} has no column `model`", "give the column with the rows' names this heading")
    scores = [n for n in header if n not in _TEXT and not n.endswith(("_se", "_n")) and _is_score(n, lines)]
    for number, line in enumerate(lines, 2):
        cells = {}
        for name in filter(lambda n: line[n].strip(), scores):
            try:
                cells[name] = Decimal(line[name].strip())
            except InvalidOperation:
                told = f"{path}, row {number}: {name} is {line[name]!r}, not a number"
                raise HarnessError(told, "correct the cell, or empty it where nothing was reported") from None
        yield line["model"], cells


def _is_score(name: str, lines: Sequence[Mapping[str, str]]) -> bool:
    """Whether the column holds a number anywhere; columns of text (run, protocol, ...) hold none."""
    return any(line[name].strip().replace(".", "", 1).isdigit() for line in lines)
