"""Admission: which requests are refused, and when a bulk request starts.

A request is refused (429) when it comes if it would wait longer than the limit of its priority. An
interactive request then starts at once. A bulk request waits in a line, not parsed yet, until few
enough others are being answered. Waiting there costs the event loop nothing, which keeps it free
for interactive requests, and requests finish one after another instead of all at the end.

    check (before the body is read) → turn: line ─► tokenize, batcher, answer ─► next in line

Lives on the event loop. It knows neither HTTP nor models.
"""

from typing import Protocol

from prometheus_client import Histogram

from service.arrays import Priority
from service.errors import Overloaded
from service.inference.wait_line import WaitLine

# A word of English text takes 5 to 6 bytes of JSON, a sub-word token 3 to 4.
BYTES_PER_TOKEN = 4
# A request of more tokens waits in a line of its own, so that no short one waits behind it.
LARGE_TOKENS = 8192
# Most tokens of a request in line that count for the queue's bound, as in the batcher's estimate.
MAX_COUNTED_TOKENS = 512
# Work that a worker thread needs at hand to run full batches without a pause.
REQUESTS_PER_THREAD = 32
TOKENS_PER_THREAD = 16_384
# Below this many requests in the application, a late event loop is not load: the machine stalled.
ALWAYS_ADMITTED = 8
# Bytes of bodies in line, as a multiple of the largest body.
MAX_BODIES = 8


class Queue(Protocol):
    """What admission needs of the batcher behind it."""

    def check_room(self, lane: Priority, tokens: int = 0, delay_seconds: float = 0.0) -> None: ...

    def waiting_tokens(self, lane: Priority) -> int: ...


class Admission:
    """`requests` are in the application now: admitted and, if bulk, out of the line."""

    def __init__(
        self,
        queue: Queue,
        *,
        threads: int,
        max_queue_tokens: int,
        max_body_bytes: int,
        request_timeout_seconds: float,
        wait_seconds: Histogram,
    ) -> None:
        """`wait_seconds` observes how long each bulk request waited in line."""
        self.requests = 0
        self._queue = queue
        self._max_queue_tokens = max_queue_tokens
        self._max_bodies_bytes = MAX_BODIES * max_body_bytes
        self._wait_seconds = wait_seconds
        self._short = WaitLine(
            REQUESTS_PER_THREAD * threads, TOKENS_PER_THREAD * threads, request_timeout_seconds
        )
        self._large = WaitLine(threads + 1, max_queue_tokens, request_timeout_seconds)
        self._bodies_bytes = 0
        self._counted_tokens = 0

    def check(self, lane: Priority, body_bytes: int = 0, delay_seconds: float = 0.0) -> None:
        """Raise Overloaded if the queue is full, or if the expected wait plus `delay_seconds`, for
        which the event loop was late, exceeds the limit of the lane. Call it before reading the
        body of `body_bytes`, 0 if unknown: an early refusal is cheap.
        """
        delay_seconds = delay_seconds if self.requests >= ALWAYS_ADMITTED else 0.0
        if lane == "bulk":
            delay_seconds += self._line(_tokens(body_bytes)).expected_wait_seconds
            self._check_queue(delay_seconds)
        self._queue.check_room(lane, delay_seconds=delay_seconds)

    def turn(self, lane: Priority | None, body_bytes: int, *, has_a_place: bool = False) -> "Turn":
        """Return a context that holds a place in the application. A bulk request waits for it; one
        that `has_a_place` already gives it up while it waits.

        Entering it raises Overloaded if the bodies in line take too much memory, and
        DeadlineExceeded if it waits longer than a request may.
        """
        tokens = _tokens(body_bytes) if lane == "bulk" else None
        return Turn(self, tokens, body_bytes, has_a_place)

    async def _enter(self, tokens: int, body_bytes: int) -> None:
        """Wait in line."""
        if self._bodies_bytes and self._bodies_bytes + body_bytes > self._max_bodies_bytes:
            raise Overloaded(
                f"the requests in line hold {self._bodies_bytes} bytes and have no room for "
                f"{body_bytes} more",
                self._line(tokens).expected_wait_seconds,
            )
        counted = min(tokens, MAX_COUNTED_TOKENS)
        self._bodies_bytes += body_bytes
        self._counted_tokens += counted
        try:
            self._wait_seconds.observe(await self._line(tokens).wait(tokens))
        finally:
            self._bodies_bytes -= body_bytes
            self._counted_tokens -= counted

    def waiting_tokens(self, lane: Priority) -> int:
        """Tokens in the batcher's queue; for bulk, those of the requests in line too, estimated."""
        in_line = self._short.waiting_tokens + self._large.waiting_tokens if lane == "bulk" else 0
        return self._queue.waiting_tokens(lane) + in_line

    def _line(self, tokens: int) -> WaitLine:
        return self._short if tokens <= LARGE_TOKENS else self._large

    def _check_queue(self, wait_seconds: float) -> None:
        """Requests in line count by what the batcher's own estimate counts of them."""
        waiting = self._counted_tokens + self._queue.waiting_tokens("bulk")
        if self._counted_tokens and waiting > self._max_queue_tokens:
            raise Overloaded(
                f"the queue is full: {waiting} tokens wait (at most {self._max_queue_tokens})",
                wait_seconds,
            )


class Turn:
    """A place in the application, of a bulk request with its `tokens` or of another."""

    def __init__(
        self, admission: Admission, tokens: int | None, body_bytes: int, has_a_place: bool
    ) -> None:
        self._admission = admission
        self._tokens = tokens
        self._body_bytes = body_bytes
        self._places = 0 if has_a_place else 1  # that this turn adds

    async def __aenter__(self) -> None:
        if self._tokens is not None:
            self._admission.requests -= 1 - self._places
            try:
                await self._admission._enter(self._tokens, self._body_bytes)
            finally:
                self._admission.requests += 1 - self._places
        self._admission.requests += self._places

    async def __aexit__(self, *_: object) -> None:
        self._admission.requests -= self._places
        if self._tokens is not None:
            self._admission._line(self._tokens).end(self._tokens)


def _tokens(body_bytes: int) -> int:
    return body_bytes // BYTES_PER_TOKEN
