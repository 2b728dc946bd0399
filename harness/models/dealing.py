"""Who answers what: requests are dealt to workers, and dealt again when a worker dies. No cluster is needed here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.api import Request, Response

_PARTS = 8  # a group that kills its worker is cut into so many, until the guilty request is alone


@dataclass(slots=True, eq=False)
class Item:
    """A request that is not answered yet, with the samples of it that have come so far."""

    index: int
    request: Request
    samples: dict[int, Response] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Hand:
    """What a worker holds. `last`: it was told that nothing follows; `group`: it works on what a dead one left."""

    items: dict[int, Item] = field(default_factory=dict)
    last: bool = False
    group: bool = False


class Dealt(NamedTuple):
    """Requests with their indices; `last` tells the worker that none follow until what it holds is answered."""

    requests: list[tuple[int, Request]]
    last: bool


class Dealer:
    """Deals `requests` to hands of at most `ahead`, reading them no further than that.

    A request counts as answered when all its samples have come; a worker that dies before loses them all, so nothing
    is doubled. What it held becomes a group, which a worker without other work gets for itself. A group that kills
    its worker, too, is cut into parts; a single request that does so `alone` times is answered with an error.
    """

    def __init__(self, requests: Iterable[Request], ahead: int, *, alone: int = 2) -> None:
        self._source = enumerate(requests)
        self._ahead, self._alone = ahead, alone
        self._groups: deque[list[Item]] = deque()
        self._kills: dict[int, int] = {}  # of requests that were alone in their group
        self._more = True
        self._out = 0

    @property
    def finished(self) -> bool:
        """Whether every request was read and answered."""
        return not (self._more or self._out or self._groups)

    def deal(self, hand: Hand) -> Dealt:
        """What a worker gets now, beside what it holds; where it holds nothing afterwards, there is nothing for it."""
        if hand.last and hand.items:
            return Dealt([], last=False)
        if not hand.items:
            hand.last = hand.group = False
            if self._groups:
                hand.group = hand.last = True
                return Dealt(self._give(hand, self._groups.popleft()), last=True)
        new: list[Item] = []
        while self._more and len(hand.items) + len(new) < self._ahead:
            following = next(self._source, None)
            self._more = following is not None
            if following is not None:
                new.append(Item(*following))
        hand.last = not self._more
        return Dealt(self._give(hand, new), hand.last)

    def _give(self, hand: Hand, items: list[Item]) -> list[tuple[int, Request]]:
        hand.items.update((item.index, item) for item in items)
        self._out += len(items)
        return [(item.index, item.request) for item in items]

    def answered(self, hand: Hand, index: int, response: Response) -> list[tuple[int, Response]]:
        """The samples of a request, in order, once the last of them has come."""
        item = hand.items[index]
        item.samples[response.sample_index] = response
        if len(item.samples) < item.request.generation.n:
            return []
        del hand.items[index]
        self._out -= 1
        return [(index, item.samples[k]) for k in sorted(item.samples)]

    def died(self, hand: Hand, why: str) -> Iterator[tuple[int, Response]]:
        """Take back what a dead worker held; yields the error of a request that no worker survives."""
        left, was_group = list(hand.items.values()), hand.group
        hand.items, hand.last, hand.group = {}, False, False
        self._out -= len(left)
        for item in left:
            item.samples.clear()
        if not left:
            return
        if was_group and len(left) == 1:
            [item] = left
            self._kills[item.index] = self._kills.get(item.index, 0) + 1
            if self._kills[item.index] >= self._alone:
                error = f"{self._kills[item.index]} workers died on this request alone: {why}"
                for k in range(item.request.generation.n):
                    yield item.index, Response("", finish="error", error=error, sample_index=k)
                return
        size = max(1, len(left) // _PARTS) if was_group else len(left)
        self._groups.extend(left[start : start + size] for start in range(0, len(left), size))
