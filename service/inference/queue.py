"""What waits in one lane, in two orders: by length, so that a batch pads little, and by age, so
that nothing starves. Not thread-safe: the batcher holds the lock.
"""

import bisect
import time
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

# Below this many sequences a run multiplies matrices by too few rows to be fast.
GOOD_BATCH = 8
SHORTEST_PIECE = 8
# And beyond it no sequence joins that would make more of a run padding than this.
MOST_PADDING = 0.08
# Of a request, about one run: what came later overtakes the rest of it.
MOST_AHEAD = 512

# More than this leave a queue faster by building it again.
FEW_ENTRIES = 16


class Work(Protocol):
    """All that batching has to know of a sequence."""

    @property
    def remaining(self) -> int: ...


W = TypeVar("W", bound=Work)


@dataclass(slots=True, eq=False)
class PendingRequest:
    """Works submitted together; `future` resolves when the last of them is done. `ahead` are the
    tokens that count for those who come later, `waiting` the entries in a queue.
    """

    future: "Future[None]" = field(default_factory=Future)
    submitted: float = field(default_factory=time.monotonic)
    started: float | None = None
    pending: int = 0
    ahead: int = 0
    waiting: "set[Entry[Any]]" = field(default_factory=set)
    abandoned: bool = False


@dataclass(slots=True, eq=False)
class Entry(Generic[W]):
    """One waiting work.

    `queued` is false once it was taken; `queue` is None then, because a circle of references would
    keep a model's memory after a reload. `ahead` is its part of its ticket's tokens. `since` is
    when it was added, by the monotonic clock. `waited`, in seconds, is set by the run that starts
    its ticket.
    """

    queue: "Queue[W] | None"
    work: W
    ticket: PendingRequest
    order: int
    tokens: int
    ahead: int
    since: float = field(default_factory=time.monotonic)
    queued: bool = True
    waited: float | None = None

    def key(self) -> tuple[int, int]:
        return self.tokens, self.order


class Queue(Generic[W]):
    """`tokens` are all that wait, `tokens_ahead` those that what comes now has to wait for."""

    def __init__(self) -> None:
        self.tokens = 0
        self.tokens_ahead = 0
        self._by_length: list[tuple[int, int, Entry[W]]] = []
        self._by_age: deque[Entry[W]] = deque()
        self._unbegun: deque[Entry[W]] = deque()  # the first of each ticket
        self._order = 0

    def __len__(self) -> int:
        return len(self._by_length)

    def add(self, work: W, ticket: PendingRequest) -> None:
        self._order += 1
        tokens = max(1, work.remaining)
        ahead = min(tokens, MOST_AHEAD - ticket.ahead)
        entry = Entry(self, work, ticket, self._order, tokens, ahead)
        if ticket.started is None and not ticket.ahead:
            self._unbegun.append(entry)
        ticket.ahead += ahead
        self.tokens_ahead += ahead
        ticket.waiting.add(entry)
        bisect.insort(self._by_length, (*entry.key(), entry))
        self._by_age.append(entry)
        self.tokens += tokens

    def oldest(self) -> Entry[W] | None:
        while self._by_age and not self._by_age[0].queued:
            self._by_age.popleft()
        return self._by_age[0] if self._by_age else None

    def oldest_unbegun(self) -> Entry[W] | None:
        """Of the tickets of which nothing was run yet."""
        waiting = self._unbegun
        while waiting and not (waiting[0].queued and waiting[0].ticket.started is None):
            waiting.popleft()
        return waiting[0] if waiting else None

    def remove(self, entry: Entry[W]) -> None:
        del self._by_length[bisect.bisect_left(self._by_length, entry.key(), key=lambda e: e[:2])]
        self._taken(entry)

    def remove_all(self, entries: Collection[Entry[W]]) -> None:
        """Remove many at once, because each single deletion moves all that stands behind it."""
        if len(entries) <= FEW_ENTRIES:
            for entry in entries:
                self.remove(entry)
            return
        leaving = set(entries)
        self._by_length = [one for one in self._by_length if one[2] not in leaving]
        for entry in entries:
            self._taken(entry)

    def take(self, budget: int, anchor: Entry[W] | None = None) -> tuple[list[Entry[W]], int]:
        """Remove and return neighbours in length whose pieces, padded, fit `budget` tokens, and
        the length to which pieces are cut. They surround the anchor or start at the shortest.
        """
        waiting = self._by_length
        low = bisect.bisect_left(waiting, anchor.key(), key=lambda e: e[:2]) if anchor else 0
        longest_piece = max(budget // min(GOOD_BATCH, len(waiting)), SHORTEST_PIECE)
        limit = tokens = min(waiting[low][0], longest_piece)
        high = low + 1
        while high < len(waiting):
            longer = min(waiting[high][0], longest_piece)
            count = high + 1 - low
            padding = longer * count - tokens - longer
            wasteful = count > GOOD_BATCH and padding > MOST_PADDING * longer * count
            if longer * count > budget or wasteful:
                break
            limit, high, tokens = longer, high + 1, tokens + longer
        while low > 0 and limit * (high - low + 1) <= budget and high - low < GOOD_BATCH:
            low -= 1
        entries = [entry for _, _, entry in waiting[low:high]]
        del waiting[low:high]
        for entry in entries:
            self._taken(entry)
        return entries, limit

    def _taken(self, entry: Entry[W]) -> None:
        entry.queued, entry.queue = False, None
        entry.ticket.waiting.remove(entry)
        self.tokens -= entry.tokens
        self.tokens_ahead -= entry.ahead
        entry.ticket.ahead -= entry.ahead
