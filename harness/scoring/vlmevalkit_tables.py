"""What VLMEvalKit's tables keep of a text: it reads its TSV and its xlsx with pandas, which takes some texts for none.

An option "None" or "N/A" is no option any more: it is neither shown nor matched. A response "None" becomes "nan".
Source: open-compass/VLMEvalKit vlmeval/smp/file.py at e8e78f05; the texts are pandas' STR_NA_VALUES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.api import Response, Sample, Scoring, Verdict
from harness.data.schema import LOST_OPTION

NO_VALUE = frozenset((
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
))  # fmt: skip
_LOST = NO_VALUE | {LOST_OPTION}

Rule = Callable[[Sample, Response], Verdict | Scoring]


def kept_options(choices: Mapping[str, str]) -> Mapping[str, str]:
    """The options that pandas reads as texts, in their order."""
    if _LOST.isdisjoint(choices.values()):
        return choices
    return {letter: text for letter, text in choices.items() if text not in _LOST}


def kept_sample(sample: Sample) -> Sample:
    """The sample with the options that its table keeps."""
    kept = kept_options(sample.choices)
    return sample if kept is sample.choices else replace(sample, choices=kept)


def kept_text(text: str) -> str:
    """A cell as `str()` gives it after pandas has read it."""
    return "nan" if text in NO_VALUE else text


def through_tables(rule: Rule) -> Rule:
    """The rule applied to what the tables keep of a sample and a response."""

    def score(sample: Sample, response: Response) -> Verdict | Scoring:
        if response.text in NO_VALUE:
            response = replace(response, text="nan")
        return rule(kept_sample(sample), response)

    return score
