"""Score the same responses with upstream's installed code and with ours, and write the agreement as a table.

python upstream/check.py [--out results/upstream_check.md] [--only lmms-eval]: builds a virtual environment for each
framework in the cache folder (2.5 to 7 GB and some minutes each, once), runs its worker there, compares unit by unit.
--latest installs the newest versions instead of the pinned ones. Exit code 1 where the agreement on the mini items is
lower than upstream/expected.json says (--update writes that file): upstream has changed, or our rules have.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import hash_judge
from cases import Run, runs

from harness import registry
from harness.api import Ask, Scored, Verdict
from harness.bridges.environments import FRAMEWORKS, install
from harness.folders import cache_folder
from harness.scoring.score import score_all

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "expected.json"
SHOWN = 6  # differing items listed for a task and protocol


class Framework(NamedTuple):
    """A framework: its worker, its requirements, the protocols that its code is compared with."""

    name: str
    worker: str
    protocols: tuple[str, ...]


COMPARED = (
    Framework("lmms-eval", "lmms_eval_worker.py", ("lmms-eval@0.7.2", "lmms-eval@post-1471")),
    Framework("vlmeval", "vlmeval_worker.py", ("vlmevalkit@2026-08", "vlmevalkit@2024-07")),
)


class HashJudge:
    """The judge of hash_judge for extractions and grades; it matches no options: exact matching is compared."""

    name = "hash"

    def answer(self, asks: Sequence[Ask]) -> Sequence[str | Exception | None]:
        """A function of each prompt."""
        return [None if ask.purpose == "match" else hash_judge.answer(ask.prompt) for ask in asks]


# ---------------------------------------------------------------- upstream


def upstream_verdicts(
    framework: Framework, python: Path, cases: Path, work: Path
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(task, source, unit) -> the worker's verdict."""
    out = work / f"{framework.name}.jsonl"
    log = work / f"{framework.name}.log"
    with log.open("w") as output:
        done = subprocess.run(
            [python, HERE / framework.worker, cases, out], cwd=work, stdout=output, stderr=output, check=False,
            env={**os.environ, "PYTHONHASHSEED": "0"},  # upstream prints sets
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{framework.worker} failed:\n{log.read_text()[-3000:]}")
    with out.open(encoding="utf-8") as lines:
        return {(v["task"], v["source"], v["unit"]): v for v in map(json.loads, lines)}


def version(framework: Framework, python: Path) -> str:
    """The package under test and the installed version."""
    package = FRAMEWORKS[framework.name].package
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return (
        f"{package} {subprocess.run([python, '-c', code], check=True, capture_output=True, text=True).stdout.strip()}"
    )


# ---------------------------------------------------------------- ours


def own_units(run: Run, protocol: str) -> dict[str, tuple[float, bool, list[Verdict]]]:
    """Unit -> score, whether a pick at random is in it, the verdicts of its items."""
    rules = registry.rules(run.task, protocol)
    pairs = list(zip(run.samples, run.responses, strict=True))
    verdicts = dict(score_all(rules, pairs, HashJudge()))
    scored = [Scored(sample, verdicts[index]) for index, sample in enumerate(run.samples)]
    members: dict[str, list[Verdict]] = {}
    for item in scored:
        members.setdefault(run.unit(item.sample), []).append(item.verdict)
    scores = {unit.id: unit.score for unit in rules.aggregate(scored).units}
    return {unit: (scores[unit], any(v.random for v in found), found) for unit, found in members.items()}


# ---------------------------------------------------------------- comparison


@dataclass
class Cell:
    """Agreement on a task under a protocol, on units that neither side picked at random."""

    units: int = 0
    equal: int = 0
    drawn: int = 0
    differing: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Share of equal scores in percent."""
        return 100 * self.equal / self.units if self.units else 100.0


#: (task, mini or real) -> cell
Table = dict[tuple[str, str], Cell]


def compare(all_runs: Sequence[Run], protocol: str, theirs: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> Table:
    """The cells of every task that both sides score."""
    tasks = {task for task, _, _ in theirs}.intersection(registry.load("protocols", protocol))
    cells: Table = {}
    for run in all_runs:
        if run.task.name not in tasks:
            continue
        cell = cells.setdefault((run.task.name, "mini" if run.source.startswith("mini") else "real"), Cell())
        texts: dict[str, list[str]] = {}
        for sample, response in zip(run.samples, run.responses, strict=True):
            texts.setdefault(run.unit(sample), []).append(f"{response.text[:60]!r} (gold {sample.answer!r})")
        for unit, (score, drawn, verdicts) in own_units(run, protocol).items():
            other = theirs[run.task.name, run.source, unit]
            if drawn or other["random"]:
                cell.drawn += 1
                continue
            cell.units += 1
            if other["score"] is not None and abs(score - other["score"]) < 1e-9:
                cell.equal += 1
                continue
            said = other["error"] or f"{other['score']:g} reading {other['extracted'][:40]!r}"
            own = f"{score:g} reading {verdicts[-1].extracted[:40]!r} by {verdicts[-1].rule}"
            asked = "; ".join(texts[unit])[:160]
            cell.differing.append(f"{run.source}, item {unit}: {asked}: ours {own}, theirs {said}")
    return cells


def report(title: str, tables: Mapping[str, Table]) -> Iterator[str]:
    """The Markdown of a framework: a table task x protocol, then the differing items."""
    yield f"## {title}\n"
    yield "| task | responses | units | " + " | ".join(f"equal to {p} | picked at random" for p in tables) + " |"
    yield "|---|---|---:|" + "---:|---:|" * len(tables)
    for task, kind in dict.fromkeys(key for table in tables.values() for key in table):
        cells = [table.get((task, kind)) for table in tables.values()]
        total = max(c.units + c.drawn for c in cells if c)
        shown = (f"{c.share:.2f} % ({c.equal}/{c.units}) | {c.drawn}" if c else "- | -" for c in cells)
        yield f"| {task} | {kind} | {total} | {' | '.join(shown)} |"
    for protocol, table in tables.items():
        for (task, kind), cell in table.items():
            if cell.differing:
                yield f"\n**{protocol}, {task}, {kind}: {len(cell.differing)} differ.**\n"
                yield from (f"- {line}" for line in map(_plain, cell.differing[:SHOWN]))
    yield ""


def _plain(line: str) -> str:
    return " ".join(line.replace("|", "\\|").replace("<", "&lt;").split())


HEAD = """# Agreement with the installed upstream packages

Written by `make upstream-check` (upstream/check.py): the same responses scored by upstream's own functions in an
environment of their own, and by our protocols. Judges on both sides are one function of the prompt, so equal scores of
judged tasks (MM-Vet, MathVista) also mean equal judge prompts; option matching is exact matching on both sides. Units
that either side picked at random are counted apart. `mini`: mini items with responses of many styles, the same on both
sides; `real`: stored outputs of real models, where they lie beside the project. The installed package need not be the
version a protocol is pinned to: the lists say where they part, docs/upstream.md says why.
"""


def agreement(tables: Mapping[str, Table]) -> dict[str, dict[str, float]]:
    """Protocol -> task -> percent of equal units, on the mini items."""
    return {
        protocol: {task: round(cell.share, 2) for (task, kind), cell in table.items() if kind == "mini"}
        for protocol, table in tables.items()
    }


def fallen(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Where the agreement is lower than expected."""
    expected = json.loads(EXPECTED.read_text())
    return [
        f"{protocol}, {task}: {found[protocol].get(task, 0)} % of the mini items are equal, expected {share} %"
        for protocol in found
        for task, share in expected.get(protocol, {}).items()
        if found[protocol].get(task, 0) < share
    ]


def main() -> None:
    """Run the check; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "upstream_check.md")
    parser.add_argument("--only", choices=[f.name for f in COMPARED])
    parser.add_argument("--latest", action="store_true")
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    work = cache_folder() / "upstream" / "work"
    work.mkdir(parents=True, exist_ok=True)
    all_runs = list(runs())
    cases = work / "cases.jsonl"
    with cases.open("w", encoding="utf-8") as out:
        for run in all_runs:
            out.writelines(json.dumps(case) + "\n" for case in run.cases())
    print(f"{sum(len(run.samples) for run in all_runs)} responses of {len(all_runs)} runs", flush=True)
    lines, found = [HEAD], {}
    for framework in COMPARED:
        if arguments.only in (None, framework.name):
            python = install(FRAMEWORKS[framework.name], latest=arguments.latest)
            theirs = upstream_verdicts(framework, python, cases, work)
            tables = {protocol: compare(all_runs, protocol, theirs) for protocol in framework.protocols}
            found.update(agreement(tables))
            lines.extend(report(version(framework, python), tables))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    if arguments.update:
        old = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
        EXPECTED.write_text(json.dumps({**old, **found}, indent=1) + "\n")
    if less := fallen(found):
        raise SystemExit("agreement has fallen:\n" + "\n".join(less))


if __name__ == "__main__":
    main()
