"""A lane's queue by its properties: nothing lost, nothing twice, padding within the budget."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.queue import MOST_AHEAD, Entry, PendingRequest, Queue

MAX_TOKENS = 400


@dataclass(eq=False)
class Waiting:
    remaining: int


@dataclass(frozen=True)
class Take:
    """What one call of `take` gave, next to what it was asked and what it could choose from."""

    budget: int
    entries: list[Entry[Waiting]]
    limit: int
    waited: list[Waiting]

    @property
    def works(self) -> list[Waiting]:
        return [entry.work for entry in self.entries]


lengths = st.lists(st.integers(1, MAX_TOKENS), min_size=1, max_size=40)
asks = st.lists(st.tuples(st.integers(64, 512), st.booleans()), min_size=1, max_size=5)


def filled(works: list[Waiting]) -> Queue[Waiting]:
    queue: Queue[Waiting] = Queue()
    for work in works:
        queue.add(work, PendingRequest(pending=1))
    return queue


def drained(works: list[Waiting], asked: list[tuple[int, bool]]) -> list[Take]:
    """Take until nothing waits, asking the same things over and over."""
    queue, waiting = filled(works), list(works)
    takes: list[Take] = []
    while len(queue):
        budget, oldest_first = asked[len(takes) % len(asked)]
        entries, limit = queue.take(budget, queue.oldest() if oldest_first else None)
        take = Take(budget, entries, limit, list(waiting))
        takes.append(take)
        for work in take.works:
            waiting.remove(work)
    return takes


@given(lengths, asks)
def test_every_entry_is_taken_exactly_once(sizes: list[int], asked: list[tuple[int, bool]]) -> None:
    works = [Waiting(size) for size in sizes]
    taken = [work for take in drained(works, asked) for work in take.works]
    assert sorted(map(id, taken)) == sorted(map(id, works))


@given(lengths, asks)
def test_padded_tokens_stay_within_the_budget(
    sizes: list[int], asked: list[tuple[int, bool]]
) -> None:
    for take in drained([Waiting(size) for size in sizes], asked):
        assert take.entries
        assert 1 <= take.limit <= max(work.remaining for work in take.works)
        assert take.limit * len(take.entries) <= take.budget


@given(lengths, asks)
def test_what_is_taken_are_neighbours_in_length(
    sizes: list[int], asked: list[tuple[int, bool]]
) -> None:
    for take in drained([Waiting(size) for size in sizes], asked):
        taken = [work.remaining for work in take.works]
        left = [work.remaining for work in take.waited if work not in take.works]
        assert not [size for size in left if min(taken) < size < max(taken)]


@given(lengths, st.integers(64, 512))
def test_shortest_go_first(sizes: list[int], budget: int) -> None:
    for take in drained([Waiting(size) for size in sizes], [(budget, False)]):
        assert min(w.remaining for w in take.waited) == min(w.remaining for w in take.works)


@given(lengths, st.integers(64, 512))
def test_oldest_first_includes_the_oldest(sizes: list[int], budget: int) -> None:
    for take in drained([Waiting(size) for size in sizes], [(budget, True)]):
        assert take.waited[0] in take.works


@given(lengths, st.data())
def test_a_removed_entry_is_not_taken(sizes: list[int], data: st.DataObject) -> None:
    queue = filled([Waiting(size) for size in sizes])
    removed = []
    for _ in range(data.draw(st.integers(0, len(sizes)))):
        oldest = queue.oldest()
        assert oldest is not None
        queue.remove(oldest)
        removed.append(oldest)
    taken = []
    while len(queue):
        taken += queue.take(64)[0]
    assert not set(removed) & set(taken)
    assert len(removed) + len(taken) == len(sizes)
    assert [entry.work.remaining for entry in removed] == sizes[: len(removed)]


@given(lengths, asks)
def test_the_count_of_tokens_follows_what_waits(
    sizes: list[int], asked: list[tuple[int, bool]]
) -> None:
    queue = filled([Waiting(size) for size in sizes])
    left = sum(sizes)
    for budget, oldest_first in asked:
        assert queue.tokens == left
        if len(queue):
            entries, _ = queue.take(budget, queue.oldest() if oldest_first else None)
            left -= sum(entry.work.remaining for entry in entries)
    assert queue.tokens == left


@given(st.lists(lengths, min_size=1, max_size=10), asks)
def test_no_request_counts_for_more_than_a_run_of_those_ahead(
    requests: list[list[int]], asked: list[tuple[int, bool]]
) -> None:
    queue: Queue[Waiting] = Queue()
    for sizes in requests:
        ticket = PendingRequest(pending=len(sizes))
        for size in sizes:
            queue.add(Waiting(size), ticket)
    assert queue.tokens_ahead == sum(min(sum(sizes), MOST_AHEAD) for sizes in requests)
    for budget, oldest_first in asked:
        if len(queue):
            queue.take(budget, queue.oldest() if oldest_first else None)
        assert 0 <= queue.tokens_ahead <= queue.tokens
    while len(queue):
        queue.take(64)
    assert queue.tokens_ahead == 0


def test_the_oldest_unbegun_is_of_a_request_of_which_nothing_ran() -> None:
    queue: Queue[Waiting] = Queue()
    tickets = [PendingRequest(pending=3) for _ in range(3)]
    for size, ticket in enumerate(tickets, 1):
        for _ in range(3):
            queue.add(Waiting(size), ticket)
    first = queue.oldest_unbegun()
    assert first is not None
    assert first.ticket is tickets[0]
    tickets[0].started = 1.0
    second = queue.oldest_unbegun()
    assert second is not None
    assert second.ticket is tickets[1]
    queue.remove(second)
    third = queue.oldest_unbegun()
    assert third is not None
    assert third.ticket is tickets[2]


def test_an_empty_queue_has_no_oldest() -> None:
    queue: Queue[Waiting] = Queue()
    assert queue.oldest() is None
    assert queue.oldest_unbegun() is None
    assert len(queue) == 0


@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_single_long_entry_is_cut_to_the_budget(oldest_first: bool) -> None:
    queue = filled([Waiting(100_000)])
    entries, limit = queue.take(256, queue.oldest() if oldest_first else None)
    assert [entry.work.remaining for entry in entries] == [100_000]
    assert limit == 256


@given(lengths, st.sets(st.integers(0, 39)))
def test_many_that_leave_take_nobody_along(lengths: list[int], leaving: set[int]) -> None:
    """In one call or one by one, the same entries stay in the same order."""
    queues: list[Queue[Waiting]] = [Queue(), Queue()]
    for queue, at_once in zip(queues, (True, False), strict=True):
        ticket, other = PendingRequest(), PendingRequest()
        for index, length in enumerate(lengths * 2):
            queue.add(Waiting(length), ticket if index in leaving else other)
        gone = list(ticket.waiting)
        if at_once:
            queue.remove_all(gone)
        else:
            for entry in gone:
                queue.remove(entry)
        assert not ticket.waiting
        assert not any(entry.queued for entry in gone)
    ours, theirs = ([one[:2] for one in queue._by_length] for queue in queues)
    assert ours == theirs
    assert (queues[0].tokens, queues[0].tokens_ahead) == (queues[1].tokens, queues[1].tokens_ahead)
