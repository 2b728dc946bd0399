"""How many requests a server bears, found while it answers."""

from __future__ import annotations

import time


class AdaptiveLimit:
    """Additive increase, multiplicative decrease between 1 and `most`, from 8 on.

    Every `value` answers without overload raise it by a quarter; an overload halves it, at most once in `calm` seconds,
    because the requests that were already under way fail together.
    """

    def __init__(self, most: int, calm: float = 1.0) -> None:
        self.value = min(8, most)
        self._most = most
        self._calm = calm
        self._answers = 0
        self._fell = float("-inf")

    def answered(self) -> None:
        """The server answered a request."""
        self._answers += 1
        if self._answers >= self.value:
            self._answers = 0
            self.value = min(self._most, self.value + max(1, self.value // 4))

    def overloaded(self) -> None:
        """The server refused, failed or timed out."""
        now = time.monotonic()
        if now - self._fell >= self._calm:
            self.value = max(1, self.value // 2)
            self._fell = now
        self._answers = 0
