"""Cuts a model's reasoning off before its answer is read."""

from __future__ import annotations

from collections.abc import Sequence

Tags = Sequence[tuple[str, str]]

#: lmms-eval's defaults (`--reasoning_tags`).
REASONING_TAGS: Tags = (("<think>", "</think>"), ("<analysis>", "</analysis>"))


def parse_tags(names: str) -> Tags:
    """`"think,analysis"` as pairs of tags; `"none"` as none."""
    if names == "none":
        return ()
    return tuple((f"<{name.strip()}>", f"</{name.strip()}>") for name in names.split(","))


def strip_reasoning(text: str, tags: Tags = REASONING_TAGS) -> str:
    """The text without its reasoning blocks, stripped (lmms-eval's rule).

    Each block from start to end tag goes; a start tag that is never closed stays; where only end tags are left
    (the chat template wrote the start tag), the text after the last one is the answer. Linear in the text.
    """
    for start, end in tags:
        if end not in text:
            continue
        kept: list[str] = []
        position = 0
        while (opened := text.find(start, position)) >= 0:
            closed = text.find(end, opened + len(start))
            if closed < 0:
                break
            kept.append(text[position:opened])
            position = closed + len(end)
        text = "".join(kept) + text[position:]
        if start not in text and end in text:
            text = text[text.rindex(end) + len(end) :]
    return text.strip()
