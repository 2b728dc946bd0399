"""`harness show`: the items of a run, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.api import HarnessError, State

if TYPE_CHECKING:
    from harness.store import Cell, Result, Store

_EXAMPLES = """\b
Examples:
  harness show runs/full-mini --task chartqa
  harness show runs/full-mini --task mmmu --state unparsed --state truncated
  harness show runs/full-mini --task mmstar --model embedded/student --wrong --search "the answer" --limit 5
  harness show runs/full-mini --task mmvet --json | head -1
  harness show runs/full-mini --audit
"""
_CHUNK = 256  # responses that are read together


@click.command(epilog=_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--task", help="Items of this task only.")
@click.option("--model", help="Items of this model only.")
@click.option("--protocol", help="Verdicts of this protocol only.")
@click.option("--state", "states", multiple=True, type=click.Choice([str(s) for s in State]), help="Repeatable.")
@click.option("--wrong", is_flag=True, help="Items with a score below 1 only.")
@click.option("--search", help="Items whose question, answer, response or note holds this text (case is ignored).")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Show at most so many.")
@click.option("--audit", is_flag=True, help="Instead of items: which rules read how many, and golds that none read.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for machines.")
def show(
    run: Path, task: str | None, model: str | None, protocol: str | None, states: tuple[str, ...], wrong: bool,
    search: str | None, limit: int, audit: bool, as_json: bool,
) -> None:  # fmt: skip
    """Read the items of a run: question, response, rule, verdict."""
    import json

    from harness.store import Store

    with Store(run, write=False) as store:
        cells = _cells(store, run, {"task": task, "model": model, "protocol": protocol})
        if audit:
            _print_audit([result for result in store.results() if result.cell in cells])
            return
        shown = matched = 0
        for item in (item for cell in cells for item in _items(store, cell)):
            if (states and item["state"] not in states) or (wrong and item["score"] >= 1):
                continue
            if search and not _holds(item, search.casefold()):
                continue
            matched += 1
            if shown < limit:
                shown += 1
                click.echo(json.dumps(item, ensure_ascii=True)) if as_json else _print(item)
        if not as_json:
            more = f" (--limit {matched} shows all)" if shown < matched else ""
            click.echo(f"{shown} of {matched} matching items{more}" if matched else "no item matches")


def _print_audit(results: list[Result]) -> None:
    """How each benchmark's responses were read: states, rules, and golds that stand in a response that scored 0."""
    from harness.report.plain import plain

    for result in results:
        click.echo(click.style(" · ".join(plain(part) for part in result.cell), bold=True))
        for title, counts in (("states", result.states), ("rules", result.rules)):
            for name, count in sorted(counts.items(), key=lambda pair: -pair[1]):
                click.echo(f"  {title:7} {count:7} {100 * count / result.items:6.1f} %  {plain(name)}")
        missed = f"{result.gold_missed:7} {100 * result.gold_missed / result.items:6.1f} %"
        click.echo(f"  missed  {missed}  scored 0 although the response states the gold\n")


def _cells(store: Store, run: Path, wanted: dict[str, str | None]) -> list[Cell]:
    """The cells with the wanted task, model and protocol; a value that the run does not have is an error."""
    cells = [result.cell for result in store.results()]
    for name, value in wanted.items():
        known = dict.fromkeys(getattr(cell, name) for cell in cells)
        if value is not None and value not in known:
            raise HarnessError(
                f"{run} has no {name} {value!r}", f"it has: {', '.join(known) or 'no finished task yet'}"
            )
        cells = [cell for cell in cells if value in (None, getattr(cell, name))]
    return cells


def _items(store: Store, cell: Cell) -> Iterator[dict[str, Any]]:
    samples, rows = store.samples(cell.task), store.verdicts(cell)
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        responses = store.responses([key for _, key, _ in some])
        for id, key, verdict in some:
            sample, response = samples[id], responses[key]
            yield {
                **cell._asdict(),
                "id": id,
                "state": str(verdict.state),
                "score": verdict.score,
                "rule": verdict.rule,
                "random": verdict.random,
                "question": sample.question,
                "choices": dict(sample.choices),
                "images": [image.sha256[:12] for image in sample.images],
                "answer": sample.answer,
                "response": response.text,
                "finish": response.finish,
                "extracted": verdict.extracted,
                "note": verdict.note,
            }


def _holds(item: dict[str, Any], text: str) -> bool:
    return any(text in item[name].casefold() for name in ("id", "question", "answer", "response", "note"))


def _print(item: dict[str, Any]) -> None:
    """A heading in the colour of the verdict, then the fields that say something."""
    from harness.report.plain import plain

    right = item["score"] >= 1
    colour = "green" if right else "yellow" if item["state"] == State.SCORED else "red"
    chance = ", drawn at random" if item["random"] else ""
    verdict = f"{item['state']} {item['score']:g}{chance}"
    where = " · ".join(plain(item[name]) for name in ("task", "id", "model", "protocol", "judge"))
    click.echo(f"{click.style(verdict, fg=colour, bold=True)}  {where}")
    fields = {
        "question": item["question"],
        "choices": "\n".join(f"{letter}. {text}" for letter, text in item["choices"].items()),
        "images": ", ".join(item["images"]),
        "answer": item["answer"],
        "response": item["response"] + ("  [cut at the token limit]" if item["finish"] == "length" else ""),
        "extracted": item["extracted"],
        "rule": item["rule"],
        "note": item["note"],
    }
    for name, value in fields.items():
        if value:
            lines = plain(value).splitlines()
            click.echo(f"  {click.style(name.ljust(10), dim=True)} " + f"\n{' ' * 13}".join(lines))
    click.echo()
