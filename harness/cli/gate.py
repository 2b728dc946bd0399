"""`harness gate`: may this run replace the baseline?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api import HarnessError

if TYPE_CHECKING:
    from harness.gate import Gate

_EXAMPLES = """\b
Examples:
  harness gate runs/tonight --baseline results/reference/embedded --policy results/policy.yaml
  harness gate runs/new --baseline runs/old --policy my-policy.yaml --model new-student --baseline-model old-student
  harness gate runs/tonight --baseline runs/yesterday --policy results/policy.yaml --junit gate.xml --markdown gate.md

\b
Exit code: 0 GO, 1 NO-GO (a regression), 2 INCONCLUSIVE (not enough evidence), 3 BROKEN (cannot be compared).
docs/gate.md says what a policy can demand.
"""


class _Unreadable(click.UsageError):
    exit_code = 3


class _Gate(click.Command):
    """A command line that cannot be read is BROKEN: click's own exit code 2 would say INCONCLUSIVE."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and give a mistake the exit code of BROKEN."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _Unreadable(error.format_message(), error.ctx) from error


@click.command(cls=_Gate, epilog=_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--baseline", required=True, type=click.Path(path_type=Path), help="A run or an exported reference.")
@click.option("--policy", required=True, type=click.Path(path_type=Path), help="What must hold (YAML).")
@click.option("--model", help="Model of the run.  [default: every model that the baseline has]")
@click.option("--baseline-model", help="The model of the baseline to compare it with.  [default: the same name]")
@click.option("--sequential", is_flag=True, help="Look at the items in blocks and stop when the verdict is certain.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the summary for a pull request.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write every check as JSON.")
def gate(
    run: Path, baseline: Path, policy: Path, model: str | None, baseline_model: str | None, sequential: bool,
    markdown: Path | None, junit: Path | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Say GO, NO-GO or INCONCLUSIVE about a run, by its exit code."""
    from harness.gate import Decision, Gate
    from harness.report import gate as report
    from harness.report.csv_file import write_text

    names = (model, baseline_model or model) if model else None
    try:
        if baseline_model and not model:
            raise HarnessError("--baseline-model was given without --model", "give both")
        found = _judge(run, baseline, policy, names, sequential)
    except HarnessError as error:
        found = Gate(Decision.BROKEN, run.name, baseline.name, [], problem=f"{error.message} ({error.remedy})")
    for path, write in ((markdown, report.markdown), (junit, report.junit), (json_file, report.as_json)):
        if path:
            write_text(path, write(found))
    click.echo(report.markdown(found), nl=False)
    click.get_current_context().exit(int(found.decision))


def _judge(run: Path, baseline: Path, policy: Path, names: tuple[str, str] | None, sequential: bool) -> Gate:
    from harness.gate import couples, judge
    from harness.policy import read_policy
    from harness.reference import read_measured

    rules = read_policy(policy)
    if not (run / "manifest.json").exists():
        raise HarnessError(f"{run} is not a finished run: it has no manifest.json", "run the same command again")
    matched = couples(read_measured(run), read_measured(baseline), names)
    return judge(rules, matched, run.name, baseline.name, sequential=sequential)
