"""`harness compare`: is one model better than another on the same items?"""

from __future__ import annotations

from pathlib import Path

import click

_EXAMPLES = """\b
Examples:
  harness compare runs/embedded                               all methods of a recipe's run, per stage
  harness compare runs/embedded --a masters --b naive-kd --base embedded/student --teacher embedded/large
  harness compare runs/monday runs/tuesday --a tuesday:my-model --b monday:my-model
  harness compare runs/full-mini --a embedded/large --b embedded/student --format md
"""


@click.command(epilog=_EXAMPLES)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--a", "a", help="Model or method.  [default: an overview of all methods; else the last model]")
@click.option("--b", "b", help="Model or method to compare it with.")
@click.option("--base", help="Untrained student: with --teacher, shows the share of the gap recovered.")
@click.option("--teacher", help="Teacher whose lead over --base is the gap.")
@click.option("--alpha", default=0.05, show_default=True, type=click.FloatRange(0.0001, 0.5), help="Error rate.")
@click.option("--resamples", default=10_000, show_default=True, type=click.IntRange(100), help="Bootstrap samples.")
@click.option("--allow", multiple=True, type=click.Choice(["items", "protocol", "judge", "budget"]),
              help="Compare although these differ. Repeatable.")  # fmt: skip
@click.option("--format", "form", default="table", show_default=True, type=click.Choice(["table", "md", "csv"]),
              help="For the terminal, for a page, for machines.")  # fmt: skip
def compare(
    runs: tuple[Path, ...], a: str | None, b: str | None, base: str | None, teacher: str | None, alpha: float,
    resamples: int, allow: tuple[str, ...], form: str,
) -> None:  # fmt: skip
    """Compare models or methods on the same items: differences, intervals, p.

    Without --a and --b, a run in which methods were trained is shown as a whole: scores of all methods and teachers,
    what each method has and gains, the average after each stage.
    """
    import pandas
    from rich.console import Console

    from harness.compare import Refused, compare_sides, methods_of, read_sides
    from harness.report.comparison import markdown, print_comparison, records
    from harness.report.overview import overview
    from harness.report.overview_tables import overview_markdown, print_overview

    sides = read_sides(runs)
    if bool(a) != bool(b):
        raise click.UsageError("give both --a and --b, or neither")
    methods = methods_of(sides)
    couples = [(a, b)] if a and b else _default_couples(methods, list(sides))
    seen = overview(runs[0], sides, resamples=resamples, alpha=alpha) if len(runs) == 1 and methods and not a else None
    if seen and form == "table":
        return print_overview(seen, Console())
    if not couples:
        raise click.UsageError(f"one model only ({', '.join(sides)}); name another run")
    found = []
    for new, old in couples:
        try:
            found.append(
                compare_sides(
                    sides, new, old, base=base, teacher=teacher, alpha=alpha, resamples=resamples, allow=allow
                )
            )
        except Refused as refused:
            if a:
                raise
            click.echo(f"not compared: {new} and {old}: {refused.message} ({refused.remedy})", err=True)
    if form == "csv":
        rows = [record for comparison in found for record in records(comparison)]
        click.echo(pandas.DataFrame(rows).to_csv(index=False), nl=False)
    if seen and form == "md":
        click.echo(overview_markdown(seen))
    for comparison in found:
        if form == "md":
            click.echo(markdown(comparison))
        elif form == "table":
            print_comparison(comparison, Console())


def _default_couples(methods: list[str], names: list[str]) -> list[tuple[str, str]]:
    """The main method (Masters, in our recipes) against every other; without methods the last model."""
    from harness.compare import main_method

    mine = main_method(methods) if methods else names[-1]
    return [(mine, name) for name in methods or names if name != mine]
