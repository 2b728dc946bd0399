"""Small line charts side by side in one SVG file, without a plotting package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from pathlib import Path

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 300, 58, 14, 34, 44
COLOURS = ("#2a78d6", "#c2410c", "#15803d", "#7e3fb2")


@dataclass(frozen=True)
class Panel:
    """A chart: both axes are linear and begin at 0."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Points]


def write(panels: Sequence[Panel], path: Path) -> None:
    """Two panels a row."""
    rows = (len(panels) + 1) // 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT}" '
        'font-family="sans-serif" font-size="11" fill="#333">',
        f'<rect width="{2 * WIDTH}" height="{rows * HEIGHT}" fill="#fff"/>',
    ]
    for place, panel in enumerate(panels):
        parts += [f'<g transform="translate({place % 2 * WIDTH},{place // 2 * HEIGHT})">', *_panel(panel), "</g>"]
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _panel(panel: Panel) -> list[str]:
    points = [point for line in panel.lines.values() for point in line]
    ticks = [_ticks(max(point[axis] for point in points)) for axis in (0, 1)]

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + x / ticks[0][-1] * (WIDTH - LEFT - RIGHT)
        return round(across, 1), round(HEIGHT - BOTTOM - y / ticks[1][-1] * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<text x="{LEFT}" y="18" font-size="13" font-weight="bold">{escape(panel.title)}</text>']
    for tick in ticks[1]:
        y = at(0, tick)[1]
        parts.append(f'<path d="M{LEFT},{y}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for tick in ticks[0]:
        parts.append(f'<text x="{at(tick, 0)[0]}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{tick:g}</text>')
    middle = (HEIGHT - BOTTOM + TOP) / 2
    parts.append(f'<text x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(panel.x)}</text>')
    parts.append(f'<text transform="translate(14,{middle})rotate(-90)" text-anchor="middle">{escape(panel.y)}</text>')
    for number, (name, line) in enumerate(panel.lines.items()):
        colour = COLOURS[number]
        places = [at(*point) for point in line]
        path = "L".join(f"{x},{y}" for x, y in places)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(f'<text x="{LEFT + 10}" y="{TOP + 14 + 15 * number}" fill="{colour}">{escape(name)}</text>')
    return parts


def _ticks(largest: float) -> list[float]:
    """From 0 to beyond the largest value, in steps of 1, 2 or 5."""
    power = 10.0 ** floor(log10(largest / 4))
    step = next(size * power for size in (1, 2, 5, 10) if size * power * 5 >= largest)
    return [step * number for number in range(int(largest / step - 1e-9) + 2)]
