"""The scheduler: which waiting tasks run next, and how much of each. A batch takes about 20 ms.

`interactive` goes before `bulk` and short before long. Both rules are bounded: every fifth batch is
bulk if bulk tasks wait, and every fourth batch of a priority starts at its oldest entry. When
requests are late (0.1 s), batches alternate between the oldest request not yet started and the
oldest waiting chunk.
"""

import math
import time
from dataclasses import dataclass
from typing import Generic

from service.arrays import PRIORITIES, Priority
from service.errors import DeadlineExceeded
from service.inference.queue import Entry, PendingRequest, Queue, T
from service.inference.tuning import TUNING, SchedulerTuning


@dataclass(frozen=True, slots=True)
class ScheduledBatch(Generic[T]):
    """Entries of one priority, and the length to which their chunks are cut."""

    priority: Priority
    entries: list[Entry[T]]
    chunk_length: int

    @property
    def tasks(self) -> list[T]:
        return [entry.task for entry in self.entries]


class Scheduler(Generic[T]):
    """A queue for each priority, and the speed at which their batches run lately.

    Not thread-safe: the batcher holds the lock.
    """

    def __init__(self, max_batch_tokens: int, tuning: SchedulerTuning = TUNING) -> None:
        """Batches have at most `max_batch_tokens`, padding included."""
        self.max_batch_tokens = max_batch_tokens
        self._tuning = tuning
        self._queues: dict[Priority, Queue[T]] = {p: Queue(tuning) for p in PRIORITIES}
        self._batches = dict.fromkeys(PRIORITIES, 0)
        self._interactive_in_a_row = 0
        self._tokens_per_second = dict.fromkeys(PRIORITIES, 0.0)

    @property
    def has_waiting_tasks(self) -> bool:
        return any(len(queue) for queue in self._queues.values())

    def waiting_tokens(self, priority: Priority) -> int:
        return self._queues[priority].tokens

    def add(self, priority: Priority, task: T, request: PendingRequest) -> None:
        self._queues[priority].add(task, request)

    def next_batch(self, free_workers: int) -> ScheduledBatch[T] | None:
        """Return the next batch for one of the `free_workers`, or None if no task waits.

        Tasks of cancelled requests are dropped.
        """
        while (priority := self._next_priority()) is not None:
            now = time.monotonic()
            self._batches[priority] += 1
            budget, anchor = self._budget(priority, free_workers), self._anchor(priority, now)
            entries, chunk_length = self._queues[priority].take(budget, anchor)
            alive = [entry for entry in entries if not entry.request.cancelled]
            for entry in alive:
                request = entry.request
                if request.started_at is None:
                    request.started_at = now
                    entry.waited_seconds = now - request.submitted_at
            if alive:
                return ScheduledBatch(priority, alive, chunk_length)
        return None

    def fail_overdue(self, timeout_seconds: float) -> None:
        """Fail requests that waited longer than `timeout_seconds` without a start."""
        submitted_before = time.monotonic() - timeout_seconds
        for queue in self._queues.values():
            while (entry := queue.oldest()) is not None:
                request = entry.request
                if request.started_at is not None or request.submitted_at >= submitted_before:
                    break
                message = f"no worker was free within {timeout_seconds:g} seconds"
                request.fail(DeadlineExceeded(message))

    def observe_speed(self, priority: Priority, padded_tokens: int, cpu_seconds: float) -> None:
        """Record that a batch of `padded_tokens` took `cpu_seconds` of processor time."""
        speed = padded_tokens / cpu_seconds
        past = self._tokens_per_second[priority] or speed
        decay = self._tuning.speed_ema_decay
        self._tokens_per_second[priority] = decay * past + (1 - decay) * speed

    def is_short(self, priority: Priority, task: T) -> bool:
        """Return whether a task alone takes 5 ms at most; False while the speed is unknown."""
        limit = self._tokens_per_second[priority] * self._tuning.inline_seconds
        return task.remaining <= limit

    def cpu_seconds_before(self, priority: Priority) -> float:
        """Return the processor time that a new request of the priority waits for."""
        if priority == "bulk":
            return sum(map(self._waiting_cpu_seconds, PRIORITIES))
        share = 1 + 1 / self._tuning.interactive_batches_in_a_row if self._queues["bulk"] else 1
        return self._waiting_cpu_seconds(priority) * share

    def _waiting_cpu_seconds(self, priority: Priority) -> float:
        speed = self._tokens_per_second[priority]
        return self._queues[priority].counted_tokens / speed if speed else 0.0

    def _next_priority(self) -> Priority | None:
        interactive, bulk = (len(self._queues[priority]) for priority in PRIORITIES)
        most = self._tuning.interactive_batches_in_a_row
        if interactive and not (bulk and self._interactive_in_a_row >= most):
            self._interactive_in_a_row += 1
            return "interactive"
        self._interactive_in_a_row = 0
        return "bulk" if bulk else None

    def _anchor(self, priority: Priority, now: float) -> Entry[T] | None:
        """Return the entry that the next batch must hold, or None to start at the shortest."""
        queue, turn = self._queues[priority], self._batches[priority]
        late_before = now - self._tuning.late_seconds
        not_started, oldest = queue.oldest_not_started(), queue.oldest()
        if turn % 2 and not_started is not None and not_started.added_at < late_before:
            return not_started
        late = oldest is not None and oldest.added_at < late_before
        return oldest if late or turn % self._tuning.oldest_first_every == 0 else None

    def _budget(self, priority: Priority, free_workers: int) -> int:
        """Return the padded tokens of the next batch: about 20 ms, or a free worker's share."""
        share = math.ceil(self._queues[priority].tokens / max(1, free_workers))
        tokens = min(int(self._tokens_per_second[priority] * self._tuning.batch_seconds), share)
        return min(max(self._tuning.min_batch_tokens, tokens), self.max_batch_tokens)
