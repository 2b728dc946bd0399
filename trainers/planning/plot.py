"""The picture of a sweep: hours by phase over the number of GPUs, as an HTML page or a small SVG file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from harness.api import HarnessError
from trainers.planning.stages import PHASES
from trainers.planning.sweep import Point

_COLOURS = dict(zip(PHASES, ("#2a78d6", "#c2410c", "#15803d", "#7e3fb2"), strict=True))
_ALL, _OVERLAPPED, _INK, _GRID = "all, in turn", "all, overlapped", "#333333", "#dddddd"
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 820, 440, 64, 150, 44, 48
_LABEL = 15  # a label's height: labels at the lines' ends are at least so far apart


def write_plot(points: Sequence[Point], title: str, path: Path) -> None:
    """Write the picture, on logarithmic axes; a point that does not fit has no mark.

    `path` ends with .html (a page that needs no network) or .svg. HarnessError for another ending.
    """
    kinds = {".html": _write_html, ".svg": _write_svg}
    if path.suffix not in kinds:
        raise HarnessError(f"--plot {path}: a picture ends with .html or .svg", "name it bounds.html or bounds.svg")
    kinds[path.suffix](points, title, path)


def _lines(points: Sequence[Point]) -> dict[str, list[float | None]]:
    """Hours by line; None where so few GPUs cannot hold the models, or where there is nothing to do."""
    found = {phase: [point.phases[phase] for point in points] for phase in PHASES}
    trains = [0.0 if point.fits else math.inf for point in points]
    found["training"] = [max(hours) for hours in zip(found["training"], trains, strict=True)]
    found[_ALL] = [max(point.in_turn, room) for point, room in zip(points, trains, strict=True)]
    found[_OVERLAPPED] = [max(point.overlapped, room) for point, room in zip(points, trains, strict=True)]
    return {
        name: [value / 3600 if 0 < value < math.inf else None for value in values] for name, values in found.items()
    }


def _write_html(points: Sequence[Point], title: str, path: Path) -> None:
    import plotly.graph_objects as go

    counts = [point.gpus for point in points]
    figure = go.Figure()
    for name, hours in _lines(points).items():
        whole = name not in PHASES
        style = {"dash": "dash" if name == _OVERLAPPED else "solid", "color": _COLOURS.get(name, _INK),
                 "width": 3 if whole else 2}  # fmt: skip
        figure.add_scatter(x=counts, y=hours, mode="lines" if whole else "lines+markers", name=name, line=style)
    figure.update_layout(title=title, xaxis_title="GPUs", yaxis_title="hours", template="plotly_white")
    figure.update_xaxes(type="log", tickvals=counts)
    figure.update_yaxes(type="log")
    figure.write_html(path, include_plotlyjs=True, full_html=True)


@dataclass(frozen=True, slots=True)
class _Axes:
    """From GPUs and hours to the picture's coordinates."""

    most: int
    low: int
    high: int

    def x(self, gpus: float) -> float:
        """The place of a number of GPUs."""
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log2(gpus) / max(1.0, math.log2(self.most))

    def y(self, hours: float) -> float:
        """The place of so many hours."""
        share = (math.log10(hours) - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def _write_svg(points: Sequence[Point], title: str, path: Path) -> None:
    lines = _lines(points)
    known = [value for values in lines.values() for value in values if value is not None]
    if not known:
        raise HarnessError("the run fits on none of these numbers of GPUs", "sweep to more: --sweep 1024")
    axes = _Axes(points[-1].gpus, math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)) + 1e-9))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img"><title>{escape(title)}</title>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="24" font-size="14" fill="{_INK}">{escape(title)}: hours by phase</text>',
        *_grid(axes, [point.gpus for point in points]),
        *(_line(name, points, values, axes) for name, values in lines.items()),
        *_labels(lines, axes),
        "</svg>",
    ]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _grid(axes: _Axes, counts: Sequence[int]) -> list[str]:
    """Lines and numbers of both axes."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    found = [f'<text x="{(_LEFT + right) / 2:.0f}" y="{_HEIGHT - 10}" text-anchor="middle" fill="{_INK}">GPUs</text>']
    for power in range(axes.low, axes.high + 1):
        y = axes.y(10.0**power)
        found.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>')
        text = f"{10.0**power:,g} h"
        found.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{_INK}">{text}</text>')
    for gpus in counts:
        x = axes.x(gpus)
        found.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle" fill="{_INK}">{gpus:,}</text>')
    return found


def _line(name: str, points: Sequence[Point], values: Sequence[float | None], axes: _Axes) -> str:
    places = [
        f"{axes.x(point.gpus):.1f},{axes.y(hours):.1f}"
        for point, hours in zip(points, values, strict=True)
        if hours is not None
    ]
    dash = ' stroke-dasharray="7 5"' if name == _OVERLAPPED else ""
    width = 2 if name in PHASES else 3
    colour = _COLOURS.get(name, _INK)
    return f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>'


def _labels(lines: Mapping[str, Sequence[float | None]], axes: _Axes) -> list[str]:
    """Each line's name at its end, moved down where two would overlap."""
    ends = sorted((axes.y(values[-1]), name) for name, values in lines.items() if values[-1] is not None)
    found, last = [], -math.inf
    for wanted, name in ends:
        last = max(wanted, last + _LABEL)
        place = f'x="{_WIDTH - _RIGHT + 8}" y="{last + 4:.1f}"'
        found.append(f'<text {place} fill="{_COLOURS.get(name, _INK)}">{escape(name)}</text>')
    return found
