"""What waits in one lane, in two orders: by length, so that a batch pads little, and by age, so
that nothing starves. Not thread-safe: the batcher holds the lock.
"""

import bisect
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

# Below this many sequences a run multiplies matrices by too few rows to be fast.
GOOD_BATCH = 8
SHORTEST_PIECE = 8
# And beyond it no sequence joins that would make more of a run padding than this.
MOST_PADDING = 0.08


class Work(Protocol):
    """All that batching has to know of a sequence."""

    @property
    def remaining(self) -> int: ...


W = TypeVar("W", bound=Work)


@dataclass(slots=True, eq=False)
class Ticket:
    """Works submitted together; `future` resolves when the last of them is done."""

    future: "Future[None]" = field(default_factory=Future)
    submitted: float = field(default_factory=time.monotonic)
    started: float | None = None
    pending: int = 0
    abandoned: bool = False


@dataclass(slots=True, eq=False)
class Entry(Generic[W]):
    """One waiting work; `queued` is false once it was taken. `waited` is set, in seconds, by the
    run that starts its ticket.
    """

    work: W
    ticket: Ticket
    order: int
    tokens: int
    queued: bool = True
    waited: float | None = None

    def key(self) -> tuple[int, int]:
        return self.tokens, self.order


class Queue(Generic[W]):
    def __init__(self) -> None:
        self.tokens = 0
        self._by_length: list[tuple[int, int, Entry[W]]] = []
        self._by_age: deque[Entry[W]] = deque()
        self._order = 0

    def __len__(self) -> int:
        return len(self._by_length)

    def add(self, work: W, ticket: Ticket) -> None:
        self._order += 1
        entry = Entry(work, ticket, self._order, max(1, work.remaining))
        bisect.insort(self._by_length, (*entry.key(), entry))
        self._by_age.append(entry)
        self.tokens += entry.tokens

    def oldest(self) -> Entry[W] | None:
        while self._by_age and not self._by_age[0].queued:
            self._by_age.popleft()
        return self._by_age[0] if self._by_age else None

    def remove(self, entry: Entry[W]) -> None:
        del self._by_length[bisect.bisect_left(self._by_length, entry.key(), key=lambda e: e[:2])]
        self._taken(entry)

    def take(self, budget: int, oldest_first: bool) -> tuple[list[Entry[W]], int]:
        """Remove and return neighbours in length whose pieces, padded, fit `budget` tokens, and
        the length to which pieces are cut. They surround the oldest entry or start at the shortest.
        """
        waiting = self._by_length
        anchor = self.oldest() if oldest_first else None
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
        entry.queued = False
        self.tokens -= entry.tokens
