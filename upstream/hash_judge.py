"""A judge for both sides: its answer is a function of the prompt, so equal answers need prompts that are equal.

Standard library only: it runs in the upstream environments, too.
"""

from __future__ import annotations

import hashlib

_EXTRACTIONS = ("A", "B", "(C)", "D", "14", "2.5", "0.6", "[1, 2]", "none", "E", "The answer is (B).", "1,000")
_GRADES = ("0.0", "0.1", "0.3", "0.5", "0.5 because", "0.8", "1.0", "1", "half")


def answer(prompt: str) -> str:
    """A grade for MM-Vet's prompts, an extraction for all others."""
    replies = _GRADES if "correctness score" in prompt[:300] else _EXTRACTIONS
    return replies[int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big") % len(replies)]
