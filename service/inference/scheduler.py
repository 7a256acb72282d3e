"""Which of what waits runs next, and how much of it: two lanes, and a run of about 20 ms.

`interactive` goes before `bulk`, short before long, and both are bounded: every fifth run is bulk
if any waits, and every fourth of a lane starts at its oldest entry. While requests are late, runs
start in turn at the oldest of which nothing was run yet and at the oldest entry.
"""

import math
import time
from dataclasses import dataclass
from typing import Generic

from service.arrays import PRIORITIES, Priority
from service.inference.queue import Entry, PendingRequest, Queue, W

RUN_SECONDS = 0.020
SHORT_RUN_SECONDS = 0.0025  # by the speed of batches; a text alone may take twice that
SMALLEST_RUN_TOKENS = 128
INTERACTIVE_RUNS_IN_A_ROW = 4
OLDEST_FIRST_EVERY = 4
LATE_SECONDS = 0.1
SPEED_MEMORY = 0.9  # the weight of the past in the moving average of tokens per second


@dataclass(frozen=True, slots=True)
class ScheduledBatch(Generic[W]):
    """A run: entries of one lane, and the length to which their pieces are cut."""

    lane: Priority
    entries: list[Entry[W]]
    limit: int


class Scheduler(Generic[W]):
    """Not thread-safe: the batcher holds the lock."""

    def __init__(self, max_batch_tokens: int) -> None:
        self._max_batch_tokens = max_batch_tokens
        self._lanes: dict[Priority, Queue[W]] = {"interactive": Queue(), "bulk": Queue()}
        self._picks = dict.fromkeys(PRIORITIES, 0)
        self._interactive_in_a_row = 0
        self._tokens_per_second = dict.fromkeys(PRIORITIES, 0.0)

    @property
    def queues(self) -> list[Queue[W]]:
        return list(self._lanes.values())

    @property
    def work_waits(self) -> bool:
        return any(len(queue) for queue in self._lanes.values())

    def waiting_tokens(self, lane: Priority) -> int:
        return self._lanes[lane].tokens

    def add(self, lane: Priority, work: W, ticket: PendingRequest) -> None:
        self._lanes[lane].add(work, ticket)

    def pick(self, free: int) -> ScheduledBatch[W] | None:
        """The next run, for one of so many workers that are free, or None when nothing waits. What
        was abandoned goes without being run.
        """
        while True:
            lane = self._next_lane()
            if lane is None:
                return None
            now = time.monotonic()
            self._picks[lane] += 1
            entries, limit = self._lanes[lane].take(
                self._budget(lane, free), self._anchor(lane, now)
            )
            alive = [entry for entry in entries if not entry.ticket.abandoned]
            for entry in alive:
                if entry.ticket.started is None:
                    entry.ticket.started = now
                    entry.waited = now - entry.ticket.submitted
            if alive:
                return ScheduledBatch(lane, alive, limit)

    def learn(self, lane: Priority, padded_tokens: int, seconds: float) -> None:
        """A run of the lane took so many seconds of processor time."""
        speed = padded_tokens / seconds
        known = self._tokens_per_second[lane] or speed
        self._tokens_per_second[lane] = SPEED_MEMORY * known + (1 - SPEED_MEMORY) * speed

    def is_short(self, lane: Priority, work: W) -> bool:
        """Whether a work alone takes about 5 ms at most; of an unknown speed nothing is."""
        return work.remaining <= self._tokens_per_second[lane] * SHORT_RUN_SECONDS

    def run_seconds_before(self, lane: Priority) -> float:
        """Processor time until what comes to the lane now is begun."""
        if lane == "bulk":
            return sum(map(self._run_seconds_waiting, PRIORITIES))
        share = 1 + 1 / INTERACTIVE_RUNS_IN_A_ROW if len(self._lanes["bulk"]) else 1
        return self._run_seconds_waiting(lane) * share

    def _run_seconds_waiting(self, lane: Priority) -> float:
        speed = self._tokens_per_second[lane]
        return self._lanes[lane].tokens_ahead / speed if speed else 0.0

    def _next_lane(self) -> Priority | None:
        interactive, bulk = (len(self._lanes[name]) for name in PRIORITIES)
        if interactive and not (bulk and self._interactive_in_a_row >= INTERACTIVE_RUNS_IN_A_ROW):
            self._interactive_in_a_row += 1
            return "interactive"
        self._interactive_in_a_row = 0
        return "bulk" if bulk else None

    def _anchor(self, lane: Priority, now: float) -> Entry[W] | None:
        """What must be in the next run of a lane; None lets the shortest go first."""
        queue, turn = self._lanes[lane], self._picks[lane]
        unbegun, oldest = queue.oldest_unbegun(), queue.oldest()
        if turn % 2 and unbegun is not None and now - unbegun.since > LATE_SECONDS:
            return unbegun
        late = oldest is not None and now - oldest.since > LATE_SECONDS
        return oldest if late or turn % OLDEST_FIRST_EVERY == 0 else None

    def _budget(self, lane: Priority, free: int) -> int:
        """Padded tokens of the next run: about 20 ms, or the share of each worker that is free."""
        share = math.ceil(self._lanes[lane].tokens / max(1, free))
        tokens = min(int(self._tokens_per_second[lane] * RUN_SECONDS), share)
        return min(max(SMALLEST_RUN_TOKENS, tokens), self._max_batch_tokens)
