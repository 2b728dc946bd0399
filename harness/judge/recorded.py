"""A judge whose answers were given before: what upstream's judge said, as its result files state it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.api import Ask, HarnessError

if TYPE_CHECKING:
    from harness.store import Store


class RecordedJudge:
    """Answers from a mapping (sample id, purpose) -> text; an Ask names its sample in data["id"].

    For imported runs: MathVista's extractions are ("1", "extract"), MM-Vet's grades ("v1_0", "grade").
    """

    recorded = True

    def __init__(self, answers: Mapping[tuple[str, str], str], name: str = "recorded") -> None:
        self.name = name
        self._answers = answers

    def answer(self, asks: Sequence[Ask]) -> Sequence[str | Exception | None]:
        """The recorded text of each Ask; an error for one that was not recorded, so that it counts as judge_failed."""
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> str | HarnessError | None:
        sample = str(ask.data.get("id", ""))
        found = self._answers.get((sample, ask.purpose))
        if found is None and not ask.recorded_only:
            return HarnessError(
                f"no recorded answer for item {sample!r}, purpose {ask.purpose!r}",
                "import the file that holds the judge's answers, or score with another judge",
            )
        return found


# ---------------------------------------------------------------- answers that a run keeps

NAME = "recorded"


def open_judge(spec: str = "") -> RecordedJudge:
    """What upstream's judge answered, as an imported run keeps it: `harness score RUN --judge recorded` only."""
    raise HarnessError(
        "the judge 'recorded' belongs to the run that keeps its answers", "use it with `harness score RUN`"
    )


def keep_answers(store: Store, model: str, task: str, answers: Mapping[tuple[str, str], str]) -> None:
    """Keep what upstream's judge answered about a model's responses: (sample id, purpose) -> text."""
    by_purpose: dict[str, dict[str, str]] = {}
    for (sample, purpose), text in answers.items():
        by_purpose.setdefault(purpose, {})[sample] = text
    store.set_meta(**{_meta(model, task): by_purpose})


def recorded_judge(store: Store, model: str, task: str) -> RecordedJudge:
    """The judge that gives the kept answers. Raises HarnessError if the run keeps none for the model and task."""
    kept = store.meta().get(_meta(model, task))
    if kept is None:
        raise HarnessError(
            f"{store.folder} keeps no judge's answers for {task} of {model}", "score with another judge, e.g. rule"
        )
    return RecordedJudge({(id, purpose): text for purpose, texts in kept.items() for id, text in texts.items()}, NAME)


def _meta(model: str, task: str) -> str:
    return f"judge answers: {model} / {task}"
