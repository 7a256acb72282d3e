"""A wait line: bulk requests wait, first come first served, until few enough others are running.

It is a semaphore with two weights, requests and tokens, that also measures its own speed. While the
event loop is late, the line wakes no request: the loop first catches up, so that interactive
requests are answered soon and refusals stay cheap under any load. Lives on the event loop.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from service.errors import DeadlineExceeded
from service.inference.event_loop_lag import LoopLag

# Parsing and answering a request costs about as much as this many tokens.
TOKENS_PER_REQUEST = 24
# The speed of the line is a moving average over windows of this length, with this weight of the
# past.
WINDOW_SECONDS = 0.25
EMA_DECAY = 0.7
# The largest slowdown in one window. A machine that stood still for a moment is not that slow.
MAX_SLOWDOWN = 4.0
# With more lag than this, the event loop has more to do than it can.
MAX_LAG_SECONDS = 0.02
# Requests woken together after the loop was late. More would make it late again.
MAX_WOKEN = 16


@dataclass(slots=True, eq=False)
class Waiter:
    """A request in line. `woken` resolves when it may run; `since` is when it came."""

    woken: "asyncio.Future[None]"
    tokens: int
    since: float


class WaitLine:
    """A line of requests. Sizes are in tokens, estimated before tokenizing."""

    def __init__(self, max_requests: int, max_tokens: int, timeout_seconds: float) -> None:
        """At most `max_requests` run at a time, with `max_tokens` over all of them; one always may.
        A request that waits longer than `timeout_seconds` fails.
        """
        self._max_requests = max_requests
        self._max_tokens = max_tokens
        self._timeout_seconds = timeout_seconds
        self._waiters: deque[Waiter] = deque()
        self._waiting_requests = 0
        self._waiting_tokens = 0
        self._running_requests = 0
        self._running_tokens = 0
        self._lag = LoopLag()
        self._seconds_per_token = 0.0
        self._window_start: float | None = None
        self._window_tokens = 0

    @property
    def waiting_tokens(self) -> int:
        return self._waiting_tokens

    @property
    def expected_wait_seconds(self) -> float:
        """The time until a request that comes now may run, by the recent speed of the line: 0 while
        the line is empty or its speed is unknown.
        """
        work = self._waiting_tokens + TOKENS_PER_REQUEST * self._waiting_requests
        return work * self._seconds_per_token

    async def acquire(self, tokens: int) -> float:
        """Wait until the request may run, and return the seconds waited. The caller must `release`.

        Raises DeadlineExceeded.
        """
        if not self._waiters and self._fits(tokens):
            self._start(tokens)
            return 0.0
        loop = asyncio.get_running_loop()
        waiter = Waiter(loop.create_future(), tokens, time.monotonic())
        self._waiters.append(waiter)
        self._count(waiter, 1)
        self._lag.watch(self._wake_if_on_time)
        try:
            await waiter.woken
        except asyncio.CancelledError:
            if waiter.woken.cancelled():
                self._count(waiter, -1)
            elif waiter.woken.exception() is None:  # woken and cancelled at the same moment
                self.release(tokens)
            raise
        return time.monotonic() - waiter.since

    def release(self, tokens: int) -> None:
        """End a request that ran, and wake the next one."""
        self._running_requests -= 1
        self._running_tokens -= tokens
        self._measure_speed(tokens)
        if self._lag.seconds <= MAX_LAG_SECONDS or not self._running_requests:
            self._wake(1)

    def _fits(self, tokens: int) -> bool:
        return not self._running_requests or (
            self._running_requests < self._max_requests
            and self._running_tokens + tokens <= self._max_tokens
        )

    def _start(self, tokens: int) -> None:
        self._running_requests += 1
        self._running_tokens += tokens

    def _wake_if_on_time(self) -> bool:
        """Fail overdue requests, and fill the room that became free while the loop was late.

        Returns whether a request still waits.
        """
        self._fail_overdue()
        if self._lag.seconds <= MAX_LAG_SECONDS:
            self._wake(MAX_WOKEN)
        return bool(self._waiters)

    def _wake(self, count: int) -> None:
        """Wake up to `count` requests, as far as they fit."""
        while self._waiters and count:
            waiter = self._waiters[0]
            if waiter.woken.done():  # cancelled or overdue
                self._waiters.popleft()
            elif self._fits(waiter.tokens):
                self._waiters.popleft()
                self._count(waiter, -1)
                self._start(waiter.tokens)
                waiter.woken.set_result(None)
                count -= 1
            else:
                return

    def _count(self, waiter: Waiter, sign: int) -> None:
        self._waiting_requests += sign
        self._waiting_tokens += sign * waiter.tokens

    def _fail_overdue(self) -> None:
        overdue = time.monotonic() - self._timeout_seconds
        while self._waiters and (self._waiters[0].woken.done() or self._waiters[0].since < overdue):
            waiter = self._waiters.popleft()
            if not waiter.woken.done():
                self._count(waiter, -1)
                message = f"no worker was free within {self._timeout_seconds:g} seconds"
                waiter.woken.set_exception(DeadlineExceeded(message))

    def _measure_speed(self, tokens: int) -> None:
        """Count a request that ended. Only windows in which requests always waited are measured,
        because only then the speed of the line is that of the service.
        """
        now = time.monotonic()
        if not self._waiting_requests:
            self._window_start = None
            return
        if self._window_start is None:
            self._window_start, self._window_tokens = now, 0
            return
        self._window_tokens += tokens + TOKENS_PER_REQUEST
        seconds = now - self._window_start
        if seconds < WINDOW_SECONDS:
            return
        measured, past = seconds / self._window_tokens, self._seconds_per_token
        if past:
            measured = min(measured, MAX_SLOWDOWN * past)
            measured = EMA_DECAY * past + (1 - EMA_DECAY) * measured
        self._seconds_per_token = measured
        self._window_start, self._window_tokens = now, 0
