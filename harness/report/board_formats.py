"""A leaderboard as a page (HTML) and as a table of a paper (LaTeX, booktabs)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from harness.api import Metrics
from harness.report.entries import Entry
from harness.report.leaderboard import Leaderboard
from harness.report.plain import plain

_Z = 1.959964  # half a 95 % interval in standard errors
BEST, SECOND = "best", "second"
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def html(board: Leaderboard) -> str:
    """One static page: no script, nothing fetched, every text escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("harness.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    rows = []
    for entry in board.entries:
        who = {name: plain(value) for name, value in entry.who.items()}
        cells = [
            {"text": _score(metrics), "half": _half(metrics), "rank": _rank(board, entry, get), "n": metrics.n}
            if metrics
            else None
            for get in _columns(board)
            for metrics in [get(entry)]
        ]
        rows.append({"who": who, "source": plain(entry.source), "cells": cells})
    return environment.get_template("leaderboard.html.j2").render(columns=["average", *board.benchmarks], rows=rows)


def latex(board: Leaderboard) -> str:
    r"""A booktabs table: best bold, second underlined, half-widths of 95 % intervals; needs \usepackage{booktabs}."""
    names = ["Model", "Avg.", *board.benchmarks]
    lines = [
        "% best bold, second underlined, among rows of one origin and data edition; +-: half a 95 % interval",
        rf"\begin{{tabular}}{{l{'r' * (len(names) - 1)}}}",
        r"\toprule",
        " & ".join(_tex(name) for name in names) + r" \\",
        r"\midrule",
    ]
    last = None
    for entry in board.entries:
        group = (entry.who["run"], entry.source)
        if last is not None and group != last:
            lines.append(r"\midrule")
        last = group
        mark = r"$^{\dagger}$" if entry.source else ""
        cells = [_tex(entry.who["model"]) + mark]
        cells += [_tex_score(get(entry), _rank(board, entry, get)) for get in _columns(board)]
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    sources = dict.fromkeys(entry.source for entry in board.entries if entry.source)
    if sources:
        lines.append(rf"\par{{\footnotesize $^{{\dagger}}$ reported, not measured: {_tex('; '.join(sources))}}}")
    return "\n".join(lines) + "\n"


def _columns(board: Leaderboard) -> list[Callable[[Entry], Metrics | None]]:
    """How to read each column of an entry: the average, then the benchmarks."""

    def column(name: str) -> Callable[[Entry], Metrics | None]:
        return lambda entry: entry.metrics.get(name)

    return [lambda entry: entry.average, *map(column, board.benchmarks)]


def _rank(board: Leaderboard, entry: Entry, get: Callable[[Entry], Metrics | None]) -> str:
    """`best`, `second` or nothing, among rows of the same origin and data; averages also of as many benchmarks."""
    own = get(entry)
    if own is None:
        return ""
    peers = [other for other in board.entries if _kind(other) == _kind(entry)]
    found = [m for m in map(get, peers) if m is not None and (entry.average is not own or m.n == own.n)]
    scores = sorted({_score(m) for m in found}, key=float, reverse=True)
    place: Sequence[str] = (BEST, SECOND) if len(found) > 1 else ()
    return dict(zip(scores, place, strict=False)).get(_score(own), "")


def _kind(entry: Entry) -> tuple[bool, str]:
    return bool(entry.source), entry.who["data"]


def _score(metrics: Metrics) -> str:
    return f"{metrics.score:.1f}"


def _half(metrics: Metrics) -> str:
    return "" if math.isnan(metrics.stderr) else f"{_Z * metrics.stderr:.1f}"


def _tex_score(metrics: Metrics | None, rank: str) -> str:
    if metrics is None:
        return "--"
    shown = {BEST: rf"\textbf{{{_score(metrics)}}}", SECOND: rf"\underline{{{_score(metrics)}}}"}
    half = _half(metrics)
    return shown.get(rank, _score(metrics)) + (rf"{{\scriptsize$\pm${half}}}" if half else "")


def _tex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in plain(text))
