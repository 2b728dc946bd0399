"""Who answers what when workers die: every request is answered once, and only a deadly one is an error."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import Generation, Request, Response
from harness.models.dealing import Dealer, Hand

Answers = list[tuple[int, int, str]]


def requests(count: int, n: int = 1) -> list[Request]:
    return [Request((f"item {i}",), Generation(n=n)) for i in range(count)]


def play(count: int, n: int, ahead: int, workers: int, choices: Iterator[int], deadly: set[int]) -> tuple[Answers, int]:
    """Deal to workers that answer, or die, as `choices` say (then answer all); returns the answers and the deaths."""
    dealer = Dealer(requests(count, n), ahead)
    hands = [Hand() for _ in range(workers)]
    answers: Answers = []
    deaths = 0
    while not dealer.finished:
        for hand in hands:
            dealer.deal(hand)
            assert len(hand.items) <= ahead
        choice = next(choices, None)
        busy = [hand for hand in hands if hand.items]
        if not busy:  # the end of the source was found only now
            continue
        hand = busy[(choice or 0) % len(busy)]
        if deadly & set(hand.items) or (choice is not None and choice % 5 == 0):
            deaths += 1
            answers += [(i, r.sample_index, r.finish) for i, r in dealer.died(hand, "killed")]
            continue
        index = list(hand.items)[(choice or 0) % len(hand.items)]
        left = [k for k in range(n) if k not in hand.items[index].samples]
        for k in left[: 1 if choice is not None and choice % 3 == 0 else n]:
            answers += [
                (i, r.sample_index, r.finish) for i, r in dealer.answered(hand, index, Response("x", sample_index=k))
            ]
    return answers, deaths


@settings(max_examples=200, deadline=None)
@given(
    count=st.integers(0, 60),
    n=st.integers(1, 3),
    ahead=st.integers(1, 30),
    workers=st.integers(1, 4),
    choices=st.lists(st.integers(0, 1000), max_size=60),
)
def test_nothing_is_lost_and_nothing_doubled(count: int, n: int, ahead: int, workers: int, choices: list[int]) -> None:
    answers, _ = play(count, n, ahead, workers, iter(choices), set())
    assert sorted((i, k) for i, k, _ in answers) == [(i, k) for i in range(count) for k in range(n)]


@pytest.mark.parametrize(("ahead", "workers", "most"), [(80, 1, 5), (640, 2, 6), (1, 1, 3)])
def test_a_deadly_request_ends_alone(ahead: int, workers: int, most: int) -> None:
    answers, deaths = play(1000, 1, ahead, workers, iter(()), {700})
    assert [(i, finish) for i, _, finish in answers if finish != "stop"] == [(700, "error")]
    assert len(answers) == 1000
    assert deaths <= most


def test_requests_are_read_only_as_far_as_workers_hold_them() -> None:
    taken = 0

    def stream() -> Iterator[Request]:
        nonlocal taken
        for request in requests(100):
            taken += 1
            yield request

    dealer, hand = Dealer(stream(), 10), Hand()
    assert len(dealer.deal(hand).requests) == 10
    assert not dealer.deal(hand).requests
    assert taken == 10
    list(dealer.died(hand, "killed"))
    assert [index for index, _ in dealer.deal(hand).requests] == list(range(10))
    assert taken == 10


def test_what_a_dead_worker_left_goes_to_one_without_work() -> None:
    dealer, dead, busy = Dealer(requests(30), 10), Hand(), Hand()
    dealer.deal(dead)
    dealer.deal(busy)
    list(dealer.died(dead, "killed"))
    dealer.answered(busy, 10, Response("x"))
    assert [index for index, _ in dealer.deal(busy).requests] == [20]
    fresh = Hand()
    assert dealer.deal(fresh).last
    assert sorted(fresh.items) == list(range(10))
