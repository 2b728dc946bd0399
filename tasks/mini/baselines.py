"""What answers without looking score on the mini edition: `python -m tasks.mini.baselines docs/mini.md`."""

from __future__ import annotations

import importlib
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness import registry
from harness.data.schema import literal_list
from tasks.mini.build import LETTERS, STEP, Row, Rows

TRAIN = 2000
#: How many sightings of one wording weigh as much as what is known of its skill.
_PRIOR = 5.0


class Baselines(NamedTuple):
    """Shares of right questions (0 to 1): guessing evenly, one answer for all, the likeliest answer to the text."""

    questions: int
    rows: int
    chance: float
    majority: float
    blind: float


def generator(task: str) -> Rows:
    """The generator of mini rows of a registered task."""
    module, _, function = registry.task(task).mini.partition(":")
    rows: Rows = getattr(importlib.import_module(module), function)
    return rows


def choices(row: Row) -> dict[str, str]:
    """The options of a row by letter; none where the question is open."""
    listed = literal_list(str(row["choices"])) if row.get("choices") else None
    if listed:
        return dict(zip(LETTERS, listed, strict=False))
    return {letter: str(row[letter]) for letter in LETTERS if row.get(letter) is not None}


def gold(row: Row) -> str:
    """The right letter, or the answer to an open question."""
    return str(row.get("answer_option") or row["answer"])


class Blind:
    """Answers from the wording alone: how often was this the answer to such a question, by wording and by skill."""

    def __init__(self, train: Sequence[Row]) -> None:
        self._by_skill: dict[object, Counter[str]] = defaultdict(Counter)
        self._by_text: dict[object, Counter[str]] = defaultdict(Counter)
        for row in train:
            answer = choices(row).get(gold(row), gold(row))
            self._by_skill[row["skill"]][answer] += 1
            self._by_text[row.get("question")][answer] += 1

    def answer(self, row: Row) -> str:
        """A letter, or the likeliest answer to an open question; ties go to the first option."""
        skill, wording = self._by_skill[row["skill"]], self._by_text[row.get("question")]
        known = max(skill.total(), 1)

        def likely(answer: str) -> float:
            return (wording[answer] + _PRIOR * skill[answer] / known) / (wording.total() + _PRIOR)

        options = choices(row)
        if options:
            return max(options, key=lambda letter: likely(options[letter]))
        return max(sorted(skill), key=likely)


def units(rows: Sequence[Row], answers: Sequence[str]) -> list[bool]:
    """What counts as one question: a row, or a circular group whose every pass must be right."""
    groups: dict[int, bool] = {}
    for row, answer in zip(rows, answers, strict=True):
        index = int(str(row["index"])) % STEP
        groups[index] = groups.get(index, True) and answer == gold(row)
    return list(groups.values())


def measure(task: str, train: int = TRAIN) -> Baselines:
    """The baselines of a task: learned on `train` training questions, scored on the test split."""
    rows = generator(task)
    known, asked = list(rows("train", train)), list(rows("test"))
    always = Counter(gold(row) for row in known).most_common(1)[0][0]
    blind = Blind(known)
    passes = Counter(int(str(row["index"])) % STEP for row in asked)
    guess = {int(str(row["index"])) % STEP: _guess(row) for row in asked}
    right = units(asked, [always] * len(asked))
    return Baselines(
        questions=len(passes),
        rows=len(asked),
        chance=sum(guess[index] ** passes[index] for index in passes) / len(passes),
        majority=sum(right) / len(right),
        blind=sum(units(asked, [blind.answer(row) for row in asked])) / len(passes),
    )


def _guess(row: Row) -> float:
    return 1 / len(choices(row)) if choices(row) else 0.0


def table(found: Mapping[str, Baselines]) -> str:
    """The baselines as a markdown table, in percent."""
    lines = ["| task | questions | rows | chance | majority | blind |", "|---|---|---|---|---|---|"]
    for task, of in found.items():
        shares = " | ".join(f"{share * 100:.1f}" for share in (of.chance, of.majority, of.blind))
        lines.append(f"| {task} | {of.questions} | {of.rows} | {shares} |")
    return "\n".join(lines)


BEGIN, END = "<!-- baselines -->", "<!-- /baselines -->"


def main() -> None:
    """Measure every task and put the table between the marks of the file named on the command line."""
    page = Path(sys.argv[1])
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    found = {task: measure(task) for task in registry.names("tasks")}
    page.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
