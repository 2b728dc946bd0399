"""Series of real tables that ship with vega_datasets and plotly, scaled to the eight grid lines of a chart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

#: Values of a chart: one to eight grid lines.
TOP = 8
BARS = 4
_WINDOWS = 60


class Series(NamedTuple):
    """Four values of a real table in grid lines (1 to 8), and the table's name."""

    values: tuple[int, ...]
    table: str


@cache
def _columns() -> dict[str, list[float]]:
    """Real columns: name of the table and column -> positive numbers in the table's order."""
    import plotly.data
    from vega_datasets import local_data as vega

    frames = {
        "vega_datasets/wheat": (vega.wheat(), ("wheat", "wages")),
        "vega_datasets/barley": (vega.barley(), ("yield",)),
        "vega_datasets/iowa-electricity": (vega.iowa_electricity(), ("net_generation",)),
        "vega_datasets/seattle-weather": (vega.seattle_weather(), ("temp_max", "wind")),
        "vega_datasets/driving": (vega.driving(), ("miles", "gas")),
        "vega_datasets/us-employment": (vega.us_employment(), ("construction", "manufacturing", "government")),
        "vega_datasets/cars": (vega.cars(), ("Horsepower", "Miles_per_Gallon", "Weight_in_lbs")),
        "vega_datasets/crimea": (vega.crimea(), ("wounds", "other", "disease")),
        "plotly/gapminder": (plotly.data.gapminder(), ("lifeExp", "pop", "gdpPercap")),
        "plotly/tips": (plotly.data.tips(), ("total_bill", "tip")),
        "plotly/medals": (plotly.data.medals_long(), ("count",)),
        "plotly/election": (plotly.data.election(), ("Coderre", "Bergeron", "Joly")),
        "plotly/wind": (plotly.data.wind(), ("frequency",)),
        "plotly/stocks": (plotly.data.stocks(), ("GOOG", "AAPL", "AMZN", "FB", "NFLX", "MSFT")),
        "plotly/iris": (plotly.data.iris(), ("sepal_length", "petal_length", "petal_width")),
    }
    found = {}
    for name, (frame, columns) in frames.items():
        for column in columns:
            values = [float(value) for value in frame[column].tolist()]
            found[f"{name}/{column}"] = [value for value in values if value > 0]
    return found


def scaled(values: list[float], top: int) -> tuple[int, ...]:
    """The values in grid lines when the largest reaches line `top`; at least one line each."""
    largest = max(values)
    return tuple(max(1, round(value / largest * top)) for value in values)


@cache
def bank() -> tuple[Series, ...]:
    """All distinct charts of four values that the real tables give, over four heights of the axis."""
    rng = np.random.default_rng(20251222)
    found: set[Series] = set()
    for name, values in sorted(_columns().items()):
        for _ in range(_WINDOWS):
            step = 1 + int(rng.integers(min(40, len(values) // BARS)))
            start = int(rng.integers(len(values) - (BARS - 1) * step))
            window = values[start : start + BARS * step : step]
            found.update(Series(scaled(window, top), name) for top in range(TOP - 3, TOP + 1))
    return tuple(sorted(found))


_indexes: dict[str, tuple[tuple[int, ...], ...]] = {}


def by(name: str, keys: Callable[[tuple[int, ...]], Iterator[int]]) -> tuple[tuple[int, ...], ...]:
    """Positions in the bank of the series that have each key 0, 1, ... (a series may have several keys)."""
    if name not in _indexes:
        index: dict[int, list[int]] = defaultdict(list)
        for position, series in enumerate(bank()):
            for key in set(keys(series.values)):
                index[key].append(position)
        _indexes[name] = tuple(tuple(index[key]) for key in range(max(index) + 1))
    return _indexes[name]
