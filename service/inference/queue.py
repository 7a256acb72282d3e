"""The tasks of one priority that wait, ordered by length and by age.

The order by length makes batches that pad little, and the order by age lets nothing starve. Not
thread-safe: the batcher holds the lock.
"""

import bisect
import time
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from service.inference.tuning import TUNING, SchedulerTuning


class Task(Protocol):
    """The part of a task that batching needs: how many tokens it still has to run."""

    @property
    def remaining(self) -> int: ...


T = TypeVar("T", bound=Task)


@dataclass(slots=True, eq=False)
class PendingRequest:
    """Tasks submitted together. `future` resolves when the last of them has finished.

    `counted_tokens` are its tokens that count for the requests behind it, and `entries` its tasks
    that wait in a queue. Times are those of the monotonic clock.
    """

    future: "Future[None]" = field(default_factory=Future)
    submitted_at: float = field(default_factory=time.monotonic)
    started_at: float | None = None
    unfinished: int = 0
    counted_tokens: int = 0
    entries: "set[Entry[Any]]" = field(default_factory=set)
    cancelled: bool = False

    def finish(self) -> None:
        """Resolve the future, unless the caller has cancelled it."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(None)

    def fail(self, error: Exception) -> None:
        """Cancel the request, and raise `error` in its caller."""
        self.cancel()
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    def cancel(self) -> None:
        """Take its waiting tasks out of their queues."""
        self.cancelled = True
        leaving: dict[Queue[Any], list[Entry[Any]]] = {}
        for entry in self.entries:
            assert entry.queue is not None  # it waits
            leaving.setdefault(entry.queue, []).append(entry)
        for queue, entries in leaving.items():
            queue.remove_all(entries)


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One waiting task.

    `queue` is None after the entry left it, because a circle of references would keep the memory
    of a model after a reload. `waited_seconds` is set by the batch that starts its request.
    """

    queue: "Queue[T] | None"
    task: T
    request: PendingRequest
    order: int
    tokens: int
    counted_tokens: int
    added_at: float = field(default_factory=time.monotonic)
    waited_seconds: float | None = None

    def key(self) -> tuple[int, int]:
        return self.tokens, self.order


class Queue(Generic[T]):
    """`tokens` are all that wait. `counted_tokens` are those that a new request waits for."""

    def __init__(self, tuning: SchedulerTuning = TUNING) -> None:
        self.tokens = 0
        self.counted_tokens = 0
        self._tuning = tuning
        self._by_length: list[tuple[int, int, Entry[T]]] = []
        self._by_age: deque[Entry[T]] = deque()
        self._not_started: deque[Entry[T]] = deque()  # the first entry of each request
        self._order = 0

    def __len__(self) -> int:
        return len(self._by_length)

    def add(self, task: T, request: PendingRequest) -> None:
        self._order += 1
        tokens = max(1, task.remaining)
        counted = min(tokens, self._tuning.max_counted_tokens - request.counted_tokens)
        entry = Entry(self, task, request, self._order, tokens, counted)
        if request.started_at is None and not request.counted_tokens:
            self._not_started.append(entry)
        request.counted_tokens += counted
        self.counted_tokens += counted
        request.entries.add(entry)
        bisect.insort(self._by_length, (*entry.key(), entry))
        self._by_age.append(entry)
        self.tokens += tokens

    def oldest(self) -> Entry[T] | None:
        """Return the entry that has waited longest."""
        while self._by_age and self._by_age[0].queue is None:
            self._by_age.popleft()
        return self._by_age[0] if self._by_age else None

    def oldest_not_started(self) -> Entry[T] | None:
        """Return the oldest entry of the requests of which no task has run yet."""
        waiting = self._not_started
        while waiting and (waiting[0].queue is None or waiting[0].request.started_at is not None):
            waiting.popleft()
        return waiting[0] if waiting else None

    def remove(self, entry: Entry[T]) -> None:
        del self._by_length[bisect.bisect_left(self._by_length, entry.key(), key=lambda e: e[:2])]
        self._forget(entry)

    def remove_all(self, entries: Collection[Entry[T]]) -> None:
        """Remove many entries at once. A single deletion moves all entries behind it."""
        if len(entries) <= self._tuning.max_single_removals:
            for entry in entries:
                self.remove(entry)
            return
        leaving = set(entries)
        self._by_length = [one for one in self._by_length if one[2] not in leaving]
        for entry in entries:
            self._forget(entry)

    def take(self, budget: int, anchor: Entry[T] | None = None) -> tuple[list[Entry[T]], int]:
        """Remove and return neighbours in length, with the length to which their chunks are cut.

        Their chunks, padded, fit `budget` tokens. They surround `anchor` or start at the shortest.
        """
        tuning, waiting = self._tuning, self._by_length
        full = tuning.full_batch_size
        low = bisect.bisect_left(waiting, anchor.key(), key=lambda e: e[:2]) if anchor else 0
        longest_chunk = max(budget // min(full, len(waiting)), tuning.min_chunk_tokens)
        chunk_length = tokens = min(waiting[low][0], longest_chunk)
        high = low + 1
        while high < len(waiting):
            longer = min(waiting[high][0], longest_chunk)
            count = high + 1 - low
            padding = longer * count - tokens - longer
            wasteful = count > full and padding > tuning.max_padding * longer * count
            if longer * count > budget or wasteful:
                break
            chunk_length, high, tokens = longer, high + 1, tokens + longer
        while low > 0 and chunk_length * (high - low + 1) <= budget and high - low < full:
            low -= 1
        entries = [entry for _, _, entry in waiting[low:high]]
        del waiting[low:high]
        for entry in entries:
            self._forget(entry)
        return entries, chunk_length

    def _forget(self, entry: Entry[T]) -> None:
        entry.queue = None
        entry.request.entries.remove(entry)
        self.tokens -= entry.tokens
        self.counted_tokens -= entry.counted_tokens
        entry.request.counted_tokens -= entry.counted_tokens
