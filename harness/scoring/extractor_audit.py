"""Does the extraction read what the model said? Counts that show it without a second opinion."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from harness.api import Sample, Verdict
from harness.judge.normalise import contains, words
from harness.scoring.official_mcq import named_option

_LOOKED_AT = 20_000  # characters at the end of a response, where an answer stands
_DETAIL = re.compile(r" judge:.*")


def gold_named(sample: Sample, text: str) -> bool:
    """Whether a response states the gold: as the only option it names, or, of an open question, in its words."""
    text = text[-_LOOKED_AT:]
    if sample.answer in sample.choices:
        return named_option(text, sample.choices) == sample.answer
    golds = sample.meta.get("golds") or [sample.answer]
    said = words(text)
    return any(contains(said, words(str(gold))) for gold in golds)


def rule_counts(verdicts: Iterable[Verdict]) -> Mapping[str, int]:
    """How many items each rule decided, the most frequent first; "none" where no rule did."""
    counts: Counter[str] = Counter()
    for rule, items in Counter(verdict.rule for verdict in verdicts).items():
        counts[_DETAIL.sub(" by judge", rule) or "none"] += items
    return dict(counts.most_common())
