"""Removes a model's reasoning from its answer before the answer is scored."""

from __future__ import annotations

from collections.abc import Sequence

#: (start, end) pairs that lmms-eval 0.7.2 strips unless told otherwise.
REASONING_TAGS = (("<think>", "</think>"), ("<analysis>", "</analysis>"))


def strip_reasoning(text: str, tags: Sequence[tuple[str, str]] = REASONING_TAGS) -> str:
    """The answer without its reasoning blocks, stripped of white space (rule of lmms-eval 0.7.2's --reasoning_tags).

    Each start..end block goes, case-sensitive. An end tag whose start tag stood in the prompt: what follows the last
    one stays. A start tag that is never closed stays, with everything after it: the answer was cut while reasoning.
    """
    for start, end in tags:
        while (opened := text.find(start)) >= 0 and (closed := text.find(end, opened + len(start))) >= 0:
            text = text[:opened] + text[closed + len(end) :]
        if start not in text and end in text:
            text = text.rpartition(end)[2]
    return text.strip()
