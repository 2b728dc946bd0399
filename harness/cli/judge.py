"""`harness judge calibrate`: how far a judge can be trusted, and what that does to its scores."""

from __future__ import annotations

from pathlib import Path

import click

_EXAMPLES = """\b
Examples:
  harness judge calibrate runs/llava --judge rule
  harness judge calibrate labels.jsonl --judge openai:gpt-4o-mini --run runs/mine --run runs/theirs
  harness judge calibrate runs/llava --judge rule --protocol lmms-eval@0.7.2

\b
Labels are a run whose items the judge of --reference decided (an imported run keeps upstream's grades as `recorded`),
or JSON lines of task, question, answer, response, score (and id, model, choices, meta).
"""


_NUMBERS = ("labels", "right", "n", "score", "mean error", "failed")


@click.group(epilog=_EXAMPLES)
def judge() -> None:
    """Measure how far a judge can be trusted."""


@judge.command(epilog=_EXAMPLES)
@click.argument("labels", type=click.Path(path_type=Path, exists=True))
@click.option("--judge", "spec", required=True, help="The judge to measure, e.g. rule or openai:MODEL.")
@click.option("--reference", default="recorded", show_default=True, help="The judge whose verdicts are the truth.")
@click.option("--run", "runs", multiple=True, type=click.Path(path_type=Path, exists=True),
              help="Run that the judge scored: correct its scores and compare its models. Repeatable.")  # fmt: skip
@click.option("--protocol", default="official", show_default=True, help="Protocol whose rules ask the judge.")
@click.option("--threshold", type=click.FloatRange(0, 1, min_open=True), default=0.5, show_default=True,
              help="Grade from which on a response counts as right.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="JSON for machines.")
def calibrate(
    labels: Path, spec: str, reference: str, runs: tuple[Path, ...], protocol: str, threshold: float, as_json: bool
) -> None:  # fmt: skip
    """Measure a judge on labelled items, and correct the scores that it gave."""
    from harness.cli.listing import print_json, print_table
    from harness.judge.calibration import judge_labels, judged_cells, labels_of_file, labels_of_run
    from harness.report.judge_error import calibration_records, comparison_records, notes, score_records
    from harness.scoring.score import open_judge

    known = labels_of_run(labels, reference, protocol) if labels.is_dir() else labels_of_file(labels)
    opened = open_judge(spec)
    judged = judge_labels(known, opened, protocol)
    by_task = {one.task: one for one in judged if one.items}
    cells = [cell for run in runs for cell in judged_cells(run, opened.name, set(by_task), protocol)]
    tables = {
        "calibration": calibration_records(judged, threshold),
        "scores": score_records(cells, by_task, threshold),
        "comparisons": comparison_records(cells, by_task, threshold),
    }
    if as_json:
        print_json({"judge": opened.name, "protocol": protocol, "threshold": threshold, **tables})
        return
    for name, records in tables.items():
        if records:
            click.echo(f"\n{name} of the judge {opened.name} under {protocol} (percent, 95 % intervals)")
            columns = {key: key for key in records[0] if key != "failed" or any(r["failed"] for r in records)}
            print_table(records, columns, [key for key in columns if key in _NUMBERS])
    for note in notes(tables):
        click.echo(note)
