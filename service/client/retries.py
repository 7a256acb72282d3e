"""The attempts of one call: when to send, when to retry, and how the response becomes the result.

It does no I/O and reads no clock, so that the same code drives both clients:

    iterate_attempts ── Attempt(wait_seconds, …) ──► client: sleep, send
                     ◄── httpx.Response or httpx.RequestError ──
                     … until it returns the result or raises a TiedlmError
"""

import json
import math
import random
from collections.abc import Generator
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from itertools import count
from typing import TypeVar
from uuid import uuid4

import httpx

from service.client.calls import Call
from service.client.errors import (
    ConnectionFailed,
    ServerError,
    TiedlmError,
    Unavailable,
    error_from_response,
    printable,
)
from service.client.response_body import BODY_PROBLEM

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.25
# A longer Retry-After counts as none.
MAX_RETRY_AFTER_SECONDS = 10 * 365 * 86400.0
MAX_SECONDS_DIGITS = 20
# Read timeouts are not retried: the service is probably still working on the request, and a second
# one would add to its load.
RETRIED_ERRORS = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)


@dataclass(frozen=True, slots=True)
class Retries:
    """The number of retries after a 429, a 503 or a lost connection, and the limit of their waits.

    >>> patient = Client(retries=Retries(count=10, max_wait_seconds=300))

    A retry waits at least `Retry-After`. Without that header, the wait doubles from 0.25 s. Waits
    are random within a range, because clients that were rejected together would otherwise return
    together. The waits of a call sum to at most `max_wait_seconds`; a call that would have to wait
    longer raises at once.
    """

    count: int = 4
    max_wait_seconds: float = 30.0

    def wait_seconds(self, retry: int, waited_seconds: float, error: TiedlmError) -> float | None:
        """Return the wait before retry number `retry` (from 0), or None to raise `error`."""
        remaining = self.max_wait_seconds - waited_seconds
        retry_after = error.retry_after_seconds
        if retry_after is None:
            shortest, longest = 0.0, FIRST_WAIT_SECONDS * 2**retry
        else:
            shortest, longest = retry_after, 1.25 * retry_after
        if retry >= self.count or shortest > remaining:
            return None
        return min(remaining, random.uniform(max(shortest, longest / 2), longest))


@dataclass(frozen=True, slots=True)
class Attempt:
    """An instruction to the client: sleep, then send. All attempts of a call share the id."""

    wait_seconds: float
    request_id: str


Outcome = httpx.Response | httpx.RequestError
Attempts = Generator[Attempt, Outcome | None, T]


def iterate_attempts(call: Call[T], retries: Retries, url: str = "the service") -> Attempts[T]:
    """Yield attempts and return the result. Send None first, then the outcome of each attempt.

    Error messages contain `url`. Raises TiedlmError.
    """
    request_id = uuid4().hex
    wait_seconds = waited_seconds = 0.0
    for retry in count():
        outcome = yield Attempt(wait_seconds, request_id)
        assert outcome is not None
        try:
            return _decode_outcome(call, outcome, request_id, url)
        except (ConnectionFailed, Unavailable) as error:
            if call.if_unavailable is not None:
                return call.if_unavailable
            wait = retries.wait_seconds(retry, waited_seconds, error)
            if wait is None or not isinstance(outcome, (httpx.Response, *RETRIED_ERRORS)):
                raise
        wait_seconds = wait
        waited_seconds += wait
    raise AssertionError("unreachable: the loop over attempts ends by return or raise")


def _decode_outcome(call: Call[T], outcome: Outcome, request_id: str, url: str) -> T:
    if isinstance(outcome, httpx.RequestError):
        message = f"no response from {url}: {type(outcome).__name__}: {outcome}"
        raise ConnectionFailed(message, request_id=request_id) from outcome
    request_id = printable(outcome.headers.get("X-Request-Id")) or request_id
    status = outcome.status_code
    problem = outcome.extensions.get(BODY_PROBLEM)
    content = None
    if problem is None:
        try:
            content = json.loads(outcome.content.decode(), parse_constant=_reject_constant)
        except RecursionError:
            problem = "is nested too deeply"
        except ValueError:
            problem = "is not JSON in UTF-8"
    if status != 200:
        raise error_from_response(status, content, url, request_id, _retry_after_seconds(outcome))
    if problem is None:
        try:
            return call.decode(content)
        except (TypeError, KeyError) as error:
            problem = f"has an unexpected format: {printable(str(error))}"
    raise ServerError(f"the response of {url} {problem}", status=status, request_id=request_id)


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _retry_after_seconds(response: httpx.Response) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110, 10.2.3), or None if it is missing, invalid or
    too long. A date is relative to the response's own `Date`, because the clocks may differ.
    """
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        seconds = float(value) if len(value) < MAX_SECONDS_DIGITS else math.inf
    else:
        try:
            until, now = parsedate_tz(value), parsedate_tz(response.headers.get("Date", ""))
            if until is None or now is None:
                return None
            seconds = max(0.0, float(mktime_tz(until) - mktime_tz(now)))
        except (ValueError, TypeError, LookupError, OverflowError):  # an invalid date
            return None
    return seconds if seconds < MAX_RETRY_AFTER_SECONDS else None
