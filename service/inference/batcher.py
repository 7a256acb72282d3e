"""The batcher: one bounded queue in two lanes, one worker thread a core.

No timer ever waits for more work. A worker takes what queued while it was busy, sequences of like
length together, as many padded tokens as it does in about 20 ms at the speed measured, or its
share of what waits where others are free (`service.inference.scheduler`). What is left of a longer
sequence queues again with its state, so a document of 100,000 tokens never blocks a keystroke for
longer than one run. A run that fails fails the requests in it alone. The batcher knows no models:
`run(works, limit)` is all it calls.

What would wait too long is refused when it comes: by the tokens that wait before it and the speed
at which they were lately done. What a request itself takes does not count, nor more of another
than one run, for later ones overtake its rest.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from service.arrays import Priority
from service.errors import DeadlineExceeded, NotReady, Overloaded
from service.inference.queue import Entry, PendingRequest, Queue, W
from service.inference.scheduler import ScheduledBatch, Scheduler
from service.inference.wait_estimator import WaitEstimator
from service.limits import WaitLimits

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunReport:
    """One finished run. `waits` are the seconds waited by the requests it starts."""

    lane: Priority
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
        wait_limits: WaitLimits | None = None,
    ) -> None:
        self._run = run
        self._on_run = on_run
        self._max_queue_tokens = max_queue_tokens
        self._wait_limits = wait_limits or WaitLimits()
        self._request_timeout_seconds = request_timeout_seconds
        self._ready = threading.Condition()
        self._schedule: Scheduler[W] = Scheduler(max_batch_tokens)
        self._closed = False
        self._running = 0
        self._pace = WaitEstimator(threads)
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{index}", daemon=True)
            for index in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not self._running and not self._schedule.work_waits

    def waiting_tokens(self, lane: Priority) -> int:
        return self._schedule.waiting_tokens(lane)

    def expected_wait_seconds(self, lane: Priority) -> float:
        """Until a request that comes now is begun, by the speed measured lately."""
        seconds = self._schedule.run_seconds_before(lane)
        return seconds * self._pace.clock_seconds_per_run_second

    def check_room(self, lane: Priority, tokens: int = 0, delay_seconds: float = 0.0) -> None:
        """Raise Overloaded if the queue has no room for `tokens` more, or if the expected wait plus
        `delay_seconds`, a delay outside the queue, exceeds the limit of the lane.
        """
        waiting = sum(queue.tokens for queue in self._schedule.queues)
        if waiting and waiting + tokens > self._max_queue_tokens:
            raise Overloaded(
                f"the queue is full: {waiting} tokens wait (at most {self._max_queue_tokens})",
                self.expected_wait_seconds("bulk"),
            )
        seconds = self.expected_wait_seconds(lane) + delay_seconds
        limit = self._wait_limits.of(lane)
        if seconds > limit:
            raise Overloaded(
                f"the service is busy: expected wait {seconds:.2g} s (at most {limit:g} s)", seconds
            )

    def submit(self, works: Sequence[W], lane: Priority, admitted: bool = False) -> PendingRequest:
        """Queue works that belong together. Raises Overloaded when the queue has no room or they
        would wait too long, NotReady after `close`.

        An empty queue admits any request, and any queue the rest of an `admitted` one.
        """
        ticket = PendingRequest(pending=len(works))
        tokens = sum(max(1, work.remaining) for work in works)
        with self._ready:
            if self._closed:
                raise NotReady("the service is closing")
            if not admitted:
                self.check_room(lane, tokens)
            for work in works:
                self._schedule.add(lane, work, ticket)
            self._ready.notify(min(len(works), len(self._threads)))
        if not works:
            ticket.future.set_result(None)
        return ticket

    def run_here(self, work: W, lane: Priority) -> bool:
        """Run a short work at once in the caller's thread, if nothing else runs or waits.

        Handing work to a thread and its result back costs more than a single step of the model.
        False, and nothing was done, where it would take longer than about 5 ms or must wait.
        """
        with self._ready:
            if self._closed or not self.idle or not self._schedule.is_short(lane, work):
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

    def abandon(self, ticket: PendingRequest) -> None:
        """The caller is gone: what waits of the ticket leaves the queue, and its room is free."""
        with self._ready:
            self._drop(ticket)

    def close(self) -> None:
        """Finish what waits, then end the workers."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (pick := self._next()) is not None:
            works = [entry.work for entry in pick.entries]
            try:
                tokens = self._timed_run(pick.lane, works, pick.limit)
            except Exception as error:
                log.exception("a run of %d sequences failed", len(works))
                for ticket in {entry.ticket for entry in pick.entries}:
                    self._fail(ticket, error)
                continue
            finally:
                with self._ready:
                    self._running -= 1
            self._put_back(pick)
            waits = [entry.waited for entry in pick.entries if entry.waited is not None]
            try:
                self._on_run(RunReport(pick.lane, tokens, pick.limit * len(works), waits))
            except Exception:
                log.exception("a run's report failed")  # and the worker lives on

    def _next(self) -> ScheduledBatch[W] | None:
        """Wait for a run to do; None when all is done and the batcher closed."""
        with self._ready:
            while True:
                for queue in self._schedule.queues:
                    self._fail_overdue(queue)
                pick = self._schedule.pick(len(self._threads) - self._running)
                if pick is not None:
                    self._running += 1
                    return pick
                if self._closed:
                    return None
                self._ready.wait()

    def _timed_run(self, lane: Priority, works: list[W], limit: int) -> int:
        """Run, learn the lane's speed from it, and return how many tokens were read.

        Speed is by this thread's own processor time: what others take of the processor must not
        make runs smaller, and so less efficient still.
        """
        before = sum(work.remaining for work in works)
        begun = time.thread_time()
        self._run(works, limit)
        seconds = max(time.thread_time() - begun, 1e-6)
        with self._ready:
            self._schedule.learn(lane, limit * len(works), seconds)
            self._pace.ran(seconds, time.monotonic(), self._schedule.work_waits)
        return before - sum(work.remaining for work in works)

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

    def _put_back(self, pick: ScheduledBatch[W]) -> None:
        done = []
        with self._ready:
            for entry in pick.entries:
                ticket = entry.ticket
                if ticket.abandoned:
                    continue
                if entry.work.remaining:
                    self._schedule.add(pick.lane, entry.work, ticket)
                    self._ready.notify()
                    continue
                ticket.pending -= 1
                if not ticket.pending:
                    done.append(ticket)
        for ticket in done:
            if ticket.future.set_running_or_notify_cancel():
                ticket.future.set_result(None)

    def _fail(self, ticket: PendingRequest, error: Exception) -> None:
        with self._ready:
            if not ticket.abandoned:
                self._drop(ticket)
                if ticket.future.set_running_or_notify_cancel():
                    ticket.future.set_exception(error)

    @staticmethod
    def _drop(ticket: PendingRequest) -> None:
        ticket.abandoned = True
        leaving: dict[Queue[W], list[Entry[W]]] = {}
        for entry in ticket.waiting:
            assert entry.queue is not None  # it waits
            leaving.setdefault(entry.queue, []).append(entry)
        for queue, entries in leaving.items():
            queue.remove_all(entries)
