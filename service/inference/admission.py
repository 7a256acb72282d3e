"""Admission control: which requests are refused, and when a bulk request starts.

A request is refused (429) before its body is read if it would wait longer than the limit of its
priority. An interactive request then starts at once. A bulk request waits in a line, not parsed
yet, until few enough others are in the application. Waiting there costs the event loop nothing,
which keeps it free for interactive requests, and requests finish one after another instead of all
at the end.

    admit (may refuse) → read the body → slot: wait line ─► tokenize, batcher, response ─► next one

One object holds all that the decision needs: the bound of the queue, the wait estimate, the limits
of waiting (of the tokenizer too), the lag of the event loop, and the wait lines. It does not depend
on HTTP or on models.
"""

from collections.abc import Callable
from typing import Protocol

from service.arrays import PRIORITIES, Priority
from service.errors import Overloaded
from service.inference.tuning import TUNING
from service.inference.wait_estimator import WaitEstimator
from service.inference.wait_line import WaitLine
from service.limits import BYTES_PER_TOKEN, WaitLimits

# A request of more tokens waits in a line of its own, so that no short one waits behind it.
LARGE_TOKENS = 8192
# The work that each worker thread needs at hand to run full batches without a pause.
REQUESTS_PER_THREAD = 32
TOKENS_PER_THREAD = 16_384
# With fewer requests in the application, a late event loop is not load: the machine stood still.
ALWAYS_ADMITTED = 8
# A request waits for the event loop three times: to be read, to start and to be answered. Only
# the first wait is measured.
LOOP_WAITS = 3
# Bytes of bodies in line, as a multiple of the largest body.
MAX_BODIES = 8


class Backlog(Protocol):
    """The part of the scheduler that admission needs."""

    def waiting_tokens(self, priority: Priority) -> int: ...

    def cpu_seconds_before(self, priority: Priority) -> float: ...


class Admission:
    """Refuses requests under load. `requests` counts those in the application: admitted and, if
    bulk, out of the line.
    """

    def __init__(
        self,
        backlog: Backlog,
        *,
        threads: int,
        wait_limits: WaitLimits,
        max_queue_tokens: int,
        max_body_bytes: int,
        request_timeout_seconds: float,
        on_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`on_wait` is called with the seconds that each bulk request waited in line."""
        self.requests = 0
        self._backlog = backlog
        self._estimator = WaitEstimator(threads)
        self._wait_limits = wait_limits
        self._max_queue_tokens = max_queue_tokens
        self._max_bodies_bytes = MAX_BODIES * max_body_bytes
        self._on_wait = on_wait
        self._short = WaitLine(
            REQUESTS_PER_THREAD * threads, TOKENS_PER_THREAD * threads, request_timeout_seconds
        )
        self._large = WaitLine(threads + 1, max_queue_tokens, request_timeout_seconds)
        self._bodies_bytes = 0
        self._counted_tokens = 0

    def admit(
        self,
        priority: Priority | None,
        body_bytes: int,
        loop_lag_seconds: float = 0.0,
        *,
        holds_slot: bool = False,
    ) -> "Slot":
        """Return the slot that the request enters once its body of `body_bytes` (0 if unknown) is
        read. A request that `holds_slot` already gives that slot back while it waits in line.

        Raises Overloaded as `check` does. A request without a priority is never refused.
        """
        if priority is not None:
            self.check(priority, body_bytes, loop_lag_seconds)
        return Slot(self, priority, body_bytes, holds_slot)

    def check(self, priority: Priority, body_bytes: int = 0, loop_lag_seconds: float = 0.0) -> None:
        """Raise Overloaded if the queue is full, or if the expected wait exceeds the limit.

        `loop_lag_seconds` is how late the event loop started the request.
        """
        delay = LOOP_WAITS * loop_lag_seconds if self.requests >= ALWAYS_ADMITTED else 0.0
        if priority == "bulk":
            delay += self._line(body_bytes // BYTES_PER_TOKEN).expected_wait_seconds
            # Requests in line count at most the tokens that the wait estimate counts.
            waiting = self._counted_tokens + self._backlog.waiting_tokens("bulk")
            if self._counted_tokens and waiting > self._max_queue_tokens:
                raise self._queue_is_full(waiting, delay)
        self.check_queue(priority, delay_seconds=delay)

    def check_queue(self, priority: Priority, tokens: int = 0, delay_seconds: float = 0.0) -> None:
        """Raise Overloaded if the queue has no room for `tokens` more, or if the expected wait plus
        `delay_seconds` exceeds the limit of the priority. An empty queue has room for any request.
        """
        waiting = sum(map(self._backlog.waiting_tokens, PRIORITIES))
        if waiting and waiting + tokens > self._max_queue_tokens:
            raise self._queue_is_full(waiting, self.expected_wait_seconds("bulk"))
        seconds = self.expected_wait_seconds(priority) + delay_seconds
        self._check_wait(priority, seconds, "the service is busy")

    def check_tokenizing(self, priority: Priority, backlog_seconds: float) -> None:
        """Raise Overloaded if the backlog of the tokenizer exceeds the limit of the priority."""
        self._check_wait(priority, backlog_seconds, "tokenizing is busy")

    def expected_wait_seconds(self, priority: Priority) -> float:
        """Return the time until a request that comes to the queue now starts."""
        return self._backlog.cpu_seconds_before(priority) * self._estimator.seconds_per_cpu_second

    def observe_batch(self, cpu_seconds: float, now: float, tasks_wait: bool) -> None:
        """Record a finished batch, as `WaitEstimator.observe` does. The batcher holds its lock."""
        self._estimator.observe(cpu_seconds, now, tasks_wait)

    def waiting_tokens(self, priority: Priority) -> int:
        """Return the tokens in the queue; for bulk, also the estimated ones of those in line."""
        in_line = self._short.waiting_tokens + self._large.waiting_tokens
        return self._backlog.waiting_tokens(priority) + (in_line if priority == "bulk" else 0)

    def _check_wait(self, priority: Priority, seconds: float, reason: str) -> None:
        limit = self._wait_limits.of(priority)
        if seconds > limit:
            message = f"{reason}: expected wait {seconds:.2g} s (at most {limit:g} s)"
            raise Overloaded(message, seconds)

    def _queue_is_full(self, waiting_tokens: int, wait_seconds: float) -> Overloaded:
        limit = self._max_queue_tokens
        message = f"the queue is full: {waiting_tokens} tokens wait (at most {limit})"
        return Overloaded(message, wait_seconds)

    def _line(self, tokens: int) -> WaitLine:
        return self._short if tokens <= LARGE_TOKENS else self._large

    async def _wait_in_line(self, tokens: int, body_bytes: int) -> None:
        """Raises Overloaded and DeadlineExceeded as `Slot` does."""
        line = self._line(tokens)
        if self._bodies_bytes and self._bodies_bytes + body_bytes > self._max_bodies_bytes:
            raise Overloaded(
                f"the requests in line hold {self._bodies_bytes} bytes and have no room for "
                f"{body_bytes} more",
                line.expected_wait_seconds,
            )
        counted = min(tokens, TUNING.max_counted_tokens)
        self._bodies_bytes += body_bytes
        self._counted_tokens += counted
        try:
            self._on_wait(await line.acquire(tokens))
        finally:
            self._bodies_bytes -= body_bytes
            self._counted_tokens -= counted


class Slot:
    """A request's slot in the application. Entering it waits in line if the request is bulk.

    Set `body_bytes` to the size of the body after reading it. Entering raises Overloaded if the
    bodies in line take too much memory, and DeadlineExceeded if the request waits too long.
    """

    def __init__(
        self, admission: Admission, priority: Priority | None, body_bytes: int, holds_slot: bool
    ) -> None:
        self.body_bytes = body_bytes
        self._admission = admission
        self._priority = priority
        self._slots = 0 if holds_slot else 1  # that this one adds
        self._tokens = 0

    async def __aenter__(self) -> None:
        admission = self._admission
        if self._priority == "bulk":
            self._tokens = self.body_bytes // BYTES_PER_TOKEN
            admission.requests -= 1 - self._slots
            try:
                await admission._wait_in_line(self._tokens, self.body_bytes)
            finally:
                admission.requests += 1 - self._slots
        admission.requests += self._slots

    async def __aexit__(self, *_: object) -> None:
        self._admission.requests -= self._slots
        if self._priority == "bulk":
            self._admission._line(self._tokens).release(self._tokens)
