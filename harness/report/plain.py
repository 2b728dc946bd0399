"""Model output on a terminal: what would move the cursor, hide text or turn its direction is shown as its code."""

from __future__ import annotations

import re

# C0 but tab and newline, DEL, C1, bidirectional controls and marks, zero-width and invisible characters, line and
# paragraph separators, lone surrogates (which no terminal can encode), the tag characters that hide text.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def plain(text: str) -> str:
    """The text with every control or invisible character written as its code, backslash and hexadecimal digits."""
    return _UNSAFE.sub(lambda match: _code(ord(match[0])), text)


def _code(point: int) -> str:
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
