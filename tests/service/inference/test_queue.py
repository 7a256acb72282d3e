"""Properties of the queue: no entry is lost or taken twice, and padding stays in the budget."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.queue import Entry, PendingRequest, Queue
from service.inference.tuning import TUNING

MAX_TOKENS = 400


@dataclass(eq=False)
class FakeTask:
    remaining: int


@dataclass(frozen=True)
class Take:
    """One call of `take`: its arguments, its result, and the tasks that waited before."""

    budget: int
    entries: list[Entry[FakeTask]]
    chunk_length: int
    waiting: list[FakeTask]

    @property
    def tasks(self) -> list[FakeTask]:
        return [entry.task for entry in self.entries]


lengths = st.lists(st.integers(1, MAX_TOKENS), min_size=1, max_size=40)
asks = st.lists(st.tuples(st.integers(64, 512), st.booleans()), min_size=1, max_size=5)


def filled(tasks: list[FakeTask]) -> Queue[FakeTask]:
    queue: Queue[FakeTask] = Queue()
    for task in tasks:
        queue.add(task, PendingRequest(unfinished=1))
    return queue


def drained(tasks: list[FakeTask], asked: list[tuple[int, bool]]) -> list[Take]:
    """Take until the queue is empty, with the same budgets again and again."""
    queue, waiting = filled(tasks), list(tasks)
    takes: list[Take] = []
    while len(queue):
        budget, oldest_first = asked[len(takes) % len(asked)]
        entries, chunk_length = queue.take(budget, queue.oldest() if oldest_first else None)
        take = Take(budget, entries, chunk_length, list(waiting))
        takes.append(take)
        for task in take.tasks:
            waiting.remove(task)
    return takes


@given(lengths, asks)
def test_every_entry_is_taken_exactly_once(sizes: list[int], asked: list[tuple[int, bool]]) -> None:
    tasks = [FakeTask(size) for size in sizes]
    taken = [task for take in drained(tasks, asked) for task in take.tasks]
    assert sorted(map(id, taken)) == sorted(map(id, tasks))


@given(lengths, asks)
def test_padded_tokens_stay_within_the_budget(
    sizes: list[int], asked: list[tuple[int, bool]]
) -> None:
    for take in drained([FakeTask(size) for size in sizes], asked):
        assert take.entries
        assert 1 <= take.chunk_length <= max(task.remaining for task in take.tasks)
        assert take.chunk_length * len(take.entries) <= take.budget


@given(lengths, asks)
def test_taken_entries_are_neighbours_in_length(
    sizes: list[int], asked: list[tuple[int, bool]]
) -> None:
    for take in drained([FakeTask(size) for size in sizes], asked):
        taken = [task.remaining for task in take.tasks]
        left = [task.remaining for task in take.waiting if task not in take.tasks]
        assert not [size for size in left if min(taken) < size < max(taken)]


@given(lengths, st.integers(64, 512))
def test_shortest_go_first(sizes: list[int], budget: int) -> None:
    for take in drained([FakeTask(size) for size in sizes], [(budget, False)]):
        assert min(t.remaining for t in take.waiting) == min(t.remaining for t in take.tasks)


@given(lengths, st.integers(64, 512))
def test_oldest_first_includes_the_oldest(sizes: list[int], budget: int) -> None:
    for take in drained([FakeTask(size) for size in sizes], [(budget, True)]):
        assert take.waiting[0] in take.tasks


@given(lengths, st.data())
def test_a_removed_entry_is_not_taken(sizes: list[int], data: st.DataObject) -> None:
    queue = filled([FakeTask(size) for size in sizes])
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
    assert [entry.task.remaining for entry in removed] == sizes[: len(removed)]


@given(lengths, asks)
def test_tokens_are_those_of_the_waiting_tasks(
    sizes: list[int], asked: list[tuple[int, bool]]
) -> None:
    queue = filled([FakeTask(size) for size in sizes])
    left = sum(sizes)
    for budget, oldest_first in asked:
        assert queue.tokens == left
        if len(queue):
            entries, _ = queue.take(budget, queue.oldest() if oldest_first else None)
            left -= sum(entry.task.remaining for entry in entries)
    assert queue.tokens == left


@given(st.lists(lengths, min_size=1, max_size=10), asks)
def test_a_request_counts_for_at_most_one_batch(
    requests: list[list[int]], asked: list[tuple[int, bool]]
) -> None:
    queue: Queue[FakeTask] = Queue()
    for sizes in requests:
        request = PendingRequest(unfinished=len(sizes))
        for size in sizes:
            queue.add(FakeTask(size), request)
    assert queue.counted_tokens == sum(
        min(sum(sizes), TUNING.max_counted_tokens) for sizes in requests
    )
    for budget, oldest_first in asked:
        if len(queue):
            queue.take(budget, queue.oldest() if oldest_first else None)
        assert 0 <= queue.counted_tokens <= queue.tokens
    while len(queue):
        queue.take(64)
    assert queue.counted_tokens == 0


def test_the_oldest_not_started_skips_started_requests() -> None:
    queue: Queue[FakeTask] = Queue()
    requests = [PendingRequest(unfinished=3) for _ in range(3)]
    for size, request in enumerate(requests, 1):
        for _ in range(3):
            queue.add(FakeTask(size), request)
    first = queue.oldest_not_started()
    assert first is not None
    assert first.request is requests[0]
    requests[0].started_at = 1.0
    second = queue.oldest_not_started()
    assert second is not None
    assert second.request is requests[1]
    queue.remove(second)
    third = queue.oldest_not_started()
    assert third is not None
    assert third.request is requests[2]


def test_an_empty_queue_has_no_oldest() -> None:
    queue: Queue[FakeTask] = Queue()
    assert queue.oldest() is None
    assert queue.oldest_not_started() is None
    assert len(queue) == 0


@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_long_entry_is_cut_to_the_budget(oldest_first: bool) -> None:
    queue = filled([FakeTask(100_000)])
    entries, chunk_length = queue.take(256, queue.oldest() if oldest_first else None)
    assert [entry.task.remaining for entry in entries] == [100_000]
    assert chunk_length == 256


@given(lengths, st.sets(st.integers(0, 39)))
def test_removing_many_entries_keeps_the_others(lengths: list[int], leaving: set[int]) -> None:
    """The same entries stay in the same order, removed in one call or one by one."""
    queues: list[Queue[FakeTask]] = [Queue(), Queue()]
    for queue, at_once in zip(queues, (True, False), strict=True):
        request, other = PendingRequest(), PendingRequest()
        for index, length in enumerate(lengths * 2):
            queue.add(FakeTask(length), request if index in leaving else other)
        gone = list(request.entries)
        if at_once:
            queue.remove_all(gone)
        else:
            for entry in gone:
                queue.remove(entry)
        assert not request.entries
        assert not any(entry.queue is not None for entry in gone)
    ours, theirs = ([one[:2] for one in queue._by_length] for queue in queues)
    assert ours == theirs
    assert (queues[0].tokens, queues[0].counted_tokens) == (
        queues[1].tokens,
        queues[1].counted_tokens,
    )
