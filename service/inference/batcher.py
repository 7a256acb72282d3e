"""The batcher: one bounded queue in two lanes, one worker thread a core.

No timer ever waits for more work. A worker takes what queued while it was busy, sequences of like
length together, as many padded tokens as it does in about 20 ms at the speed measured, or its
share of what waits where others are free. What is left of a longer sequence queues again with its
state, so a document of 100,000 tokens never blocks a keystroke for longer than one run.

`interactive` goes before `bulk`, short before long, and both are bounded: every fifth run is
bulk if any waits, and every fourth of a lane starts at its oldest entry. While requests are late,
runs start in turn at the oldest of which nothing was run yet and at the oldest entry. A run that
fails fails the requests in it alone. The batcher knows no models: `run(works, limit)` is all it
calls.

What would wait too long is refused when it comes: by the tokens that wait before it and the speed
at which they were lately done. What a request itself takes does not count, nor more of another
than one run, for later ones overtake its rest.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal

from service.errors import DeadlineExceeded, NotReady, Overloaded
from service.inference.pace import Pace
from service.inference.queue import Entry, Queue, Ticket, W

LaneName = Literal["interactive", "bulk"]
LANES: tuple[LaneName, ...] = ("interactive", "bulk")

RUN_SECONDS = 0.020
SHORT_RUN_SECONDS = 0.0025  # by the speed of batches; a text alone may take twice that
SMALLEST_RUN_TOKENS = 128
INTERACTIVE_RUNS_IN_A_ROW = 4
OLDEST_FIRST_EVERY = 4
LATE_SECONDS = 0.1
SPEED_MEMORY = 0.9  # the weight of the past in the moving average of tokens per second

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunReport:
    """One finished run. `waits` are the seconds waited by the requests it starts."""

    lane: LaneName
    tokens: int
    padded_tokens: int
    waits: list[float]


class Batcher(Generic[W]):
    def __init__(
        self,
        run: Callable[[list[W], int], None],
        threads: int,
        max_batch_tokens: int,
        max_queue_tokens: int,
        request_timeout_seconds: float,
        on_run: Callable[[RunReport], None] = lambda _: None,
        max_queue_seconds: float = math.inf,
    ) -> None:
        self._run = run
        self._on_run = on_run
        self._max_batch_tokens = max_batch_tokens
        self._max_queue_tokens = max_queue_tokens
        self._max_queue_seconds = max_queue_seconds
        self._request_timeout_seconds = request_timeout_seconds
        self._ready = threading.Condition()
        self._lanes: dict[LaneName, Queue[W]] = {"interactive": Queue(), "bulk": Queue()}
        self._picks = dict.fromkeys(LANES, 0)
        self._interactive_in_a_row = 0
        self._closed = False
        self._running = 0
        self._tokens_per_second = dict.fromkeys(LANES, 0.0)
        self._pace = Pace(threads)
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{index}", daemon=True)
            for index in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not self._running and not any(len(queue) for queue in self._lanes.values())

    def waiting_tokens(self, lane: LaneName) -> int:
        return self._lanes[lane].tokens

    def expected_wait_seconds(self, lane: LaneName) -> float:
        """Until a request that comes now is begun, by the speed measured lately."""
        queues = self._lanes
        if lane == "interactive":
            share = 1 + 1 / INTERACTIVE_RUNS_IN_A_ROW if len(queues["bulk"]) else 1
            run_seconds = self._run_seconds_waiting("interactive") * share
        else:
            run_seconds = sum(map(self._run_seconds_waiting, LANES))
        return run_seconds * self._pace.clock_seconds_per_run_second

    def check_room(self, lane: LaneName, tokens: int = 0, delay_seconds: float = 0.0) -> None:
        """Raises Overloaded where the queue has no room for so many tokens more, or they would
        wait too long, with what they are delayed outside the queue.
        """
        waiting = sum(queue.tokens for queue in self._lanes.values())
        if waiting and waiting + tokens > self._max_queue_tokens:
            raise Overloaded(
                f"the queue holds {waiting} of {self._max_queue_tokens} tokens and has no room "
                f"for {tokens} more",
                _whole_seconds(self.expected_wait_seconds("bulk")),
            )
        seconds = self.expected_wait_seconds(lane) + delay_seconds
        if seconds > self._max_queue_seconds:
            raise Overloaded(
                f"a request would wait {seconds:.2g} seconds; {self._max_queue_seconds:g} is the "
                "limit",
                _whole_seconds(seconds),
            )

    def submit(self, works: Sequence[W], lane: LaneName, admitted: bool = False) -> Ticket:
        """Queue works that belong together. Raises Overloaded when the queue has no room or they
        would wait too long, NotReady after `close`.

        An empty queue admits any request, and any queue the rest of an `admitted` one.
        """
        ticket = Ticket(pending=len(works))
        tokens = sum(max(1, work.remaining) for work in works)
        with self._ready:
            if self._closed:
                raise NotReady("the service is closing")
            if not admitted:
                self.check_room(lane, tokens)
            for work in works:
                self._lanes[lane].add(work, ticket)
            self._ready.notify(min(len(works), len(self._threads)))
        if not works:
            ticket.future.set_result(None)
        return ticket

    def run_here(self, work: W, lane: LaneName) -> bool:
        """Run a short work at once in the caller's thread, if nothing else runs or waits.

        Handing work to a thread and its result back costs more than a single step of the model.
        False, and nothing was done, where it would take longer than about 5 ms or must wait.
        """
        with self._ready:
            long = work.remaining > self._tokens_per_second[lane] * SHORT_RUN_SECONDS
            if long or self._closed or not self.idle:
                return False
            self._running += 1
        try:
            limit = work.remaining
            tokens = self._timed_run(lane, [work], limit)
        finally:
            with self._ready:
                self._running -= 1
        self._on_run(RunReport(lane, tokens, limit, [0.0]))
        return True

    def abandon(self, ticket: Ticket) -> None:
        """The caller is gone: what still waits of it will not run."""
        with self._ready:
            ticket.abandoned = True

    def close(self) -> None:
        """Finish what waits, then end the workers."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._ready:
                while not (picked := self._pick()):
                    if self._closed:
                        return
                    self._ready.wait()
                self._running += 1
            lane, entries, limit = picked
            try:
                tokens = self._timed_run(lane, [entry.work for entry in entries], limit)
            except Exception as error:
                log.exception("a run of %d sequences failed", len(entries))
                for ticket in {entry.ticket for entry in entries}:
                    self._fail(ticket, error)
                continue
            finally:
                with self._ready:
                    self._running -= 1
            self._put_back(lane, entries)
            waits = [entry.waited for entry in entries if entry.waited is not None]
            try:
                self._on_run(RunReport(lane, tokens, limit * len(entries), waits))
            except Exception:
                log.exception("a run's report failed")  # and the worker lives on

    def _timed_run(self, lane: LaneName, works: list[W], limit: int) -> int:
        """Run, learn the lane's speed from it, and return how many tokens were read.

        Speed is by this thread's own processor time: what others take of the processor must not
        make runs smaller, and so less efficient still.
        """
        before = sum(work.remaining for work in works)
        begun = time.thread_time()
        self._run(works, limit)
        seconds = max(time.thread_time() - begun, 1e-6)
        speed = limit * len(works) / seconds
        known = self._tokens_per_second[lane] or speed
        self._tokens_per_second[lane] = SPEED_MEMORY * known + (1 - SPEED_MEMORY) * speed
        with self._ready:
            work_waits = any(len(queue) for queue in self._lanes.values())
            self._pace.ran(seconds, time.monotonic(), work_waits)
        return before - sum(work.remaining for work in works)

    def _pick(self) -> tuple[LaneName, list[Entry[W]], int] | None:
        """The next run, or None when nothing waits. Called with the lock held."""
        while True:
            lane = self._next_lane()
            if lane is None:
                return None
            queue = self._lanes[lane]
            self._fail_overdue(queue)
            if not len(queue):
                continue
            now = time.monotonic()
            self._picks[lane] += 1
            entries, limit = queue.take(self._budget(lane), self._anchor(lane, now))
            alive = [entry for entry in entries if not entry.ticket.abandoned]
            for entry in alive:
                if entry.ticket.started is None:
                    entry.ticket.started = now
                    entry.waited = now - entry.ticket.submitted
            if alive:
                return lane, alive, limit

    def _anchor(self, lane: LaneName, now: float) -> Entry[W] | None:
        """What must be in the next run of a lane; None lets the shortest go first."""
        queue, turn = self._lanes[lane], self._picks[lane]
        unbegun, oldest = queue.oldest_unbegun(), queue.oldest()
        if turn % 2 and unbegun is not None and now - unbegun.since > LATE_SECONDS:
            return unbegun
        late = oldest is not None and now - oldest.since > LATE_SECONDS
        return oldest if late or turn % OLDEST_FIRST_EVERY == 0 else None

    def _budget(self, lane: LaneName) -> int:
        """Padded tokens of the next run: about 20 ms, or the share of each worker that is free."""
        free = len(self._threads) - self._running
        share = math.ceil(self._lanes[lane].tokens / max(1, free))
        tokens = min(int(self._tokens_per_second[lane] * RUN_SECONDS), share)
        return min(max(SMALLEST_RUN_TOKENS, tokens), self._max_batch_tokens)

    def _next_lane(self) -> LaneName | None:
        interactive, bulk = (len(self._lanes[name]) for name in LANES)
        if interactive and not (bulk and self._interactive_in_a_row >= INTERACTIVE_RUNS_IN_A_ROW):
            self._interactive_in_a_row += 1
            return "interactive"
        self._interactive_in_a_row = 0
        return "bulk" if bulk else None

    def _fail_overdue(self, queue: Queue[W]) -> None:
        limit = self._request_timeout_seconds
        while (entry := queue.oldest()) is not None:
            ticket = entry.ticket
            overdue = ticket.started is None and time.monotonic() - ticket.submitted > limit
            if not overdue and not ticket.abandoned:
                return
            queue.remove(entry)
            if overdue:
                self._fail(ticket, DeadlineExceeded(f"no worker was free within {limit:g} seconds"))

    def _put_back(self, lane: LaneName, entries: list[Entry[W]]) -> None:
        done = []
        with self._ready:
            for entry in entries:
                ticket = entry.ticket
                if ticket.abandoned:
                    continue
                if entry.work.remaining:
                    self._lanes[lane].add(entry.work, ticket)
                    self._ready.notify()
                    continue
                ticket.pending -= 1
                if not ticket.pending:
                    done.append(ticket)
        for ticket in done:
            if ticket.future.set_running_or_notify_cancel():
                ticket.future.set_result(None)

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        with self._ready:
            if not ticket.abandoned:
                ticket.abandoned = True
                if ticket.future.set_running_or_notify_cancel():
                    ticket.future.set_exception(error)

    def _run_seconds_waiting(self, lane: LaneName) -> float:
        speed = self._tokens_per_second[lane]
        return self._lanes[lane].tokens_ahead / speed if speed else 0.0


def _whole_seconds(seconds: float) -> int:
    """For Retry-After."""
    return max(1, min(60, math.ceil(seconds)))
