"""The batcher: one bounded queue with two priorities, and one worker thread for each core.

No timer waits for more tasks. A worker takes tasks of similar length from those that queued while
it was busy: as many padded tokens as it runs in about 20 ms at the measured speed, or its share of
the queue if other workers are free (`service.inference.scheduler`). The rest of a longer task
queues again with its state, so that a document of 100,000 tokens never blocks a keystroke for
longer than one batch. A batch that fails fails its own requests alone. The batcher does not depend
on models: it only calls `run_batch(tasks, chunk_length)`.

A request that would wait too long is refused when it is submitted (`service.inference.admission`).
A request's own tokens are not counted, and at most one batch of any other request is, because later
requests overtake the rest.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from service.arrays import Priority
from service.errors import NotReady
from service.inference.admission import Admission
from service.inference.queue import PendingRequest, T
from service.inference.scheduler import ScheduledBatch, Scheduler

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One finished batch. `wait_seconds` are the waits of the requests that it started."""

    priority: Priority
    tokens: int
    padded_tokens: int
    wait_seconds: list[float]


class Batcher(Generic[T]):
    """Worker threads that run batches of tasks until `close`. Thread-safe."""

    def __init__(
        self,
        run_batch: Callable[[list[T], int], None],
        scheduler: Scheduler[T],
        admission: Admission,
        *,
        threads: int,
        request_timeout_seconds: float,
        on_batch: Callable[[BatchReport], None] = lambda _: None,
    ) -> None:
        self._run_batch = run_batch
        self._on_batch = on_batch
        self._scheduler = scheduler
        self._admission = admission
        self._request_timeout_seconds = request_timeout_seconds
        self._ready = threading.Condition()
        self._closed = False
        self._running = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{index}", daemon=True)
            for index in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def idle(self) -> bool:
        """True while no batch runs and no task waits."""
        return not self._running and not self._scheduler.has_waiting_tasks

    def submit(
        self, tasks: Sequence[T], priority: Priority, admitted: bool = False
    ) -> PendingRequest:
        """Queue tasks that belong together.

        Raises Overloaded as `Admission.check_queue`, unless the request was `admitted` before, and
        NotReady after `close`.
        """
        request = PendingRequest(unfinished=len(tasks))
        tokens = sum(max(1, task.remaining) for task in tasks)
        with self._ready:
            if self._closed:
                raise NotReady("the service is closing")
            if not admitted:
                self._admission.check_queue(priority, tokens)
            for task in tasks:
                self._scheduler.add(priority, task, request)
            self._ready.notify(min(len(tasks), len(self._threads)))
        if not tasks:
            request.future.set_result(None)
        return request

    def run_inline(self, task: T, priority: Priority) -> bool:
        """Run a short task at once in the caller's thread, if nothing else runs or waits.

        Handing a task to a thread and its result back costs more than a single step of the model.
        Returns False without running it if it must wait or would take longer than about 5 ms.
        """
        with self._ready:
            if self._closed or not self.idle or not self._scheduler.is_short(priority, task):
                return False
            self._running += 1
        try:
            chunk_length = task.remaining
            tokens = self._run_timed(priority, [task], chunk_length)
        finally:
            with self._ready:
                self._running -= 1
        self._on_batch(BatchReport(priority, tokens, chunk_length, [0.0]))
        return True

    def cancel(self, request: PendingRequest) -> None:
        """Drop the waiting tasks of a request whose caller is gone. Their room is free at once."""
        with self._ready:
            request.cancel()

    def close(self) -> None:
        """Finish the waiting tasks, then end the workers."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (batch := self._wait_for_batch()) is not None:
            tasks = batch.tasks
            try:
                tokens = self._run_timed(batch.priority, tasks, batch.chunk_length)
            except Exception as error:
                log.exception("a batch of %d sequences failed", len(tasks))
                for request in {entry.request for entry in batch.entries}:
                    self._fail(request, error)
                continue
            finally:
                with self._ready:
                    self._running -= 1
            self._finish(batch)
            waits = [e.waited_seconds for e in batch.entries if e.waited_seconds is not None]
            padded_tokens = batch.chunk_length * len(tasks)
            try:
                self._on_batch(BatchReport(batch.priority, tokens, padded_tokens, waits))
            except Exception:
                log.exception("the report of a batch failed")  # the worker must live on

    def _wait_for_batch(self) -> ScheduledBatch[T] | None:
        """Return the next batch, or None when the batcher is closed and all tasks are finished."""
        with self._ready:
            while True:
                self._scheduler.fail_overdue(self._request_timeout_seconds)
                batch = self._scheduler.next_batch(len(self._threads) - self._running)
                if batch is not None:
                    self._running += 1
                    return batch
                if self._closed:
                    return None
                self._ready.wait()

    def _run_timed(self, priority: Priority, tasks: list[T], chunk_length: int) -> int:
        """Run a batch, measure its speed, and return how many tokens it ran.

        The time is the processor time of this thread: if other processes take the processor,
        batches must not become smaller, because small batches are less efficient.
        """
        before = sum(task.remaining for task in tasks)
        start = time.thread_time()
        self._run_batch(tasks, chunk_length)
        seconds = max(time.thread_time() - start, 1e-6)
        with self._ready:
            self._scheduler.observe_speed(priority, chunk_length * len(tasks), seconds)
            tasks_wait = self._scheduler.has_waiting_tasks
            self._admission.observe_batch(seconds, time.monotonic(), tasks_wait)
        return before - sum(task.remaining for task in tasks)

    def _finish(self, batch: ScheduledBatch[T]) -> None:
        """Queue the rest of each task again, and resolve the requests that are finished."""
        finished = []
        with self._ready:
            for entry in batch.entries:
                request = entry.request
                if request.cancelled:
                    continue
                if entry.task.remaining:
                    self._scheduler.add(batch.priority, entry.task, request)
                    self._ready.notify()
                    continue
                request.unfinished -= 1
                if not request.unfinished:
                    finished.append(request)
        for request in finished:
            request.finish()

    def _fail(self, request: PendingRequest, error: Exception) -> None:
        with self._ready:
            if not request.cancelled:
                request.fail(error)
