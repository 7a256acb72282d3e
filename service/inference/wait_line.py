"""A line: bulk requests that wait, first come first served, for few enough others to be running.

While the event loop is late, nobody is called: the loop catches up first with what came meanwhile,
so that interactive requests are answered soon and refusals are cheap, however much is asked.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from service.errors import DeadlineExceeded
from service.inference.loop_lag import LoopLag

# Reading and answering a request costs about as much as this many tokens.
TOKENS_PER_REQUEST = 24
# The speed of the line is measured over stretches of this length, in a moving average.
WINDOW_SECONDS = 0.25
PAST_WEIGHT = 0.7
# A machine that stood still for a moment is not this many times slower than before.
MAX_SLOWDOWN = 4.0
# An event loop that is later than this has more to do than it can.
LATE_SECONDS = 0.02
# Called together after the loop was late: more would make it late again.
MAX_CALLED = 16


@dataclass(slots=True, eq=False)
class Place:
    """A request's place in the line; `called` resolves when its turn comes."""

    called: "asyncio.Future[None]"
    tokens: int
    since: float


class WaitLine:
    """Lives on the event loop. Sizes are in tokens, as far as they are known before tokenizing."""

    def __init__(self, max_requests: int, max_tokens: int, timeout_seconds: float) -> None:
        """At most `max_requests` run at a time, with `max_tokens` over all of them; one always may.
        A request that waited longer than `timeout_seconds` fails.
        """
        self._max_requests = max_requests
        self._max_tokens = max_tokens
        self._timeout_seconds = timeout_seconds
        self._places: deque[Place] = deque()
        self._waiting_requests = 0
        self._waiting_tokens = 0
        self._running_requests = 0
        self._running_tokens = 0
        self._lag = LoopLag()
        self._seconds_per_token = 0.0
        self._measured_since: float | None = None
        self._measured_tokens = 0

    @property
    def waiting_tokens(self) -> int:
        return self._waiting_tokens

    @property
    def expected_wait_seconds(self) -> float:
        """Until a request that comes now has its turn, by the speed of the line lately; 0 while
        nobody waits, and before the speed is known.
        """
        work = self._waiting_tokens + TOKENS_PER_REQUEST * self._waiting_requests
        return work * self._seconds_per_token

    async def wait(self, tokens: int) -> float:
        """Wait for a turn and return the seconds waited; the caller ends the turn with `end`.

        Raises DeadlineExceeded.
        """
        if not self._places and self._fits(tokens):
            self._begin(tokens)
            return 0.0
        loop = asyncio.get_running_loop()
        place = Place(loop.create_future(), tokens, time.monotonic())
        self._places.append(place)
        self._count(place, 1)
        self._lag.watch(self._call_if_in_time)
        try:
            await place.called
        except asyncio.CancelledError:
            if place.called.cancelled():
                self._count(place, -1)
            elif place.called.exception() is None:  # its turn came at the same moment
                self.end(tokens)
            raise
        return time.monotonic() - place.since

    def _fits(self, tokens: int) -> bool:
        return not self._running_requests or (
            self._running_requests < self._max_requests
            and self._running_tokens + tokens <= self._max_tokens
        )

    def _begin(self, tokens: int) -> None:
        self._running_requests += 1
        self._running_tokens += tokens

    def end(self, tokens: int) -> None:
        """End the turn of a request, and call the next ones."""
        self._running_requests -= 1
        self._running_tokens -= tokens
        self._measure(tokens)
        if self._lag.seconds <= LATE_SECONDS or not self._running_requests:
            self._call(1)

    def _call_if_in_time(self) -> bool:
        """Fail those who waited too long, and fill the places that became free while the loop was
        late. True while somebody waits.
        """
        self._fail_late()
        if self._lag.seconds <= LATE_SECONDS:
            self._call(MAX_CALLED)
        return bool(self._places)

    def _call(self, count: int) -> None:
        """Call up to `count` requests, as far as they fit."""
        while self._places and count:
            place = self._places[0]
            if place.called.done():  # it left, or waited too long
                self._places.popleft()
            elif self._fits(place.tokens):
                self._places.popleft()
                self._count(place, -1)
                self._begin(place.tokens)
                place.called.set_result(None)
                count -= 1
            else:
                return

    def _count(self, place: Place, sign: int) -> None:
        self._waiting_requests += sign
        self._waiting_tokens += sign * place.tokens

    def _fail_late(self) -> None:
        begun = time.monotonic() - self._timeout_seconds
        while self._places and (self._places[0].called.done() or self._places[0].since < begun):
            place = self._places.popleft()
            if not place.called.done():
                self._count(place, -1)
                message = f"no worker was free within {self._timeout_seconds:g} seconds"
                place.called.set_exception(DeadlineExceeded(message))

    def _measure(self, tokens: int) -> None:
        """A request ended. Only stretches in which others always waited tell the line's speed."""
        now = time.monotonic()
        if not self._waiting_requests:
            self._measured_since = None
            return
        if self._measured_since is None:
            self._measured_since, self._measured_tokens = now, 0
            return
        self._measured_tokens += tokens + TOKENS_PER_REQUEST
        seconds = now - self._measured_since
        if seconds < WINDOW_SECONDS:
            return
        measured, past = seconds / self._measured_tokens, self._seconds_per_token
        if past:
            measured = min(measured, MAX_SLOWDOWN * past)
            measured = PAST_WEIGHT * past + (1 - PAST_WEIGHT) * measured
        self._seconds_per_token = measured
        self._measured_since, self._measured_tokens = now, 0
