"""How far a run is: one bar a task, with throughput and time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from harness.report.plain import plain
from harness.store.results import Result


class Watcher(Protocol):
    """Is told how an evaluation goes on."""

    def task_started(self, model: str, task: str, total: int) -> None:
        """A task of `total` items begins."""

    def advanced(self, model: str, task: str, count: int) -> None:
        """`count` more items have a response."""

    def task_finished(self, result: Result) -> None:
        """A task has its numbers."""


class Silent:
    """A Watcher that shows nothing."""

    def task_started(self, model: str, task: str, total: int) -> None:
        """Show nothing."""

    def advanced(self, model: str, task: str, count: int) -> None:
        """Show nothing."""

    def task_finished(self, result: Result) -> None:
        """Show nothing."""


class Bars:
    """A Watcher that draws rich progress bars: a task's bar appears when it starts and goes when it is scored."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[tuple[str, str], TaskID] = {}

    def task_started(self, model: str, task: str, total: int) -> None:
        """Add a bar."""
        self._bars[model, task] = self._progress.add_task(escape(f"{plain(model)}  {task}"), total=total, rate="")

    def advanced(self, model: str, task: str, count: int) -> None:
        """Move the bar on; the rate counts the items of this process only."""
        if self._progress.disable:
            return
        bar = self._bars[model, task]
        self._progress.advance(bar, count)
        speed = next(t.speed for t in self._progress.tasks if t.id == bar)
        self._progress.update(bar, rate=f"{speed:.0f} items/s" if speed else "")

    def task_finished(self, result: Result) -> None:
        """Take the bar away and leave a line with the score."""
        bar = self._bars.pop((result.cell.model, result.cell.task), None)
        if bar is not None:
            self._progress.remove_task(bar)
        self._progress.console.print(
            f"[green]done[/] {escape(plain(result.cell.model))}  {result.cell.task:<18} {result.metrics.score:6.2f}"
            f"  n={result.metrics.n}  {result.edition}",
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def bars(console: Console) -> Iterator[Bars]:
    """Draw bars on a terminal; a log file gets the finished lines only."""
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bars(progress)
