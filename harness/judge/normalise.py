"""When two short answers are the same words and numbers, whatever their case, punctuation and way to write a number."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
# A number with thousands separators and decimals (a minus only where no word or bracket stands before it), a Chinese
# or Japanese character, or a run of other letters.
_WORD = re.compile(
    r"(?:(?<![\w)])-)?(?<!\d)\d++(?:,\d{3}(?!\d))*+(?:\.\d++)?+"
    r"|[\u3040-\u30ff\u3400-\u9fff]|[^\W\d\u3040-\u30ff\u3400-\u9fff]++"
)
_ARTICLES = frozenset(("a", "an", "the"))
_LONGEST_NUMBER = 300  # in characters; a longer one is compared as it is written


def words(text: str) -> list[str]:
    """The words and numbers of a text in comparable form; articles are dropped unless nothing else is there."""
    found = _WORD.findall(text.translate(_FULL_WIDTH).casefold())
    form = {word: _number(word) if word[-1].isdecimal() else word for word in set(found)}
    return [form[word] for word in found if word not in _ARTICLES] or found


def same(one: str, other: str) -> bool:
    """Whether two texts are equal after normalisation; texts without any word are compared as they are."""
    left, right = words(one), words(other)
    return left == right if left or right else one.strip() == other.strip()


def contains(text: Sequence[str], part: Sequence[str]) -> bool:
    """Whether the words of `part` stand side by side in those of `text`; an empty part never does."""
    return bool(part) and joined(part) in joined(text)


def joined(found: Sequence[str]) -> str:
    """The words as one text in which each begins and ends with a blank of its own."""
    return f" {'  '.join(found)} "


def _number(written: str) -> str:
    """7, 7.0, 07 and 7.00 are the same; 1,000 is 1000."""
    plain = written.replace(",", "")
    return f"{float(plain):.12g}" if len(plain) <= _LONGEST_NUMBER else plain
