"""A judge whose answers were given before: what upstream's judge said, as its result files state it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.api import Ask, HarnessError


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
