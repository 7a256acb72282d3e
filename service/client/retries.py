"""One call from its first attempt to its result: what to send, when to send it again, what came.

It does no I/O and knows no clock, so that one copy drives both clients:

    exchange ── Attempt(wait_seconds, …) ──► driver: sleep, send
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

from service.client.errors import (
    ConnectionFailed,
    ServerError,
    TiedlmError,
    Unavailable,
    error_of,
    readable,
)
from service.client.requests import Call
from service.client.response_body import PROBLEM

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.25
LONGEST_SECONDS = 10 * 365 * 86400.0
DIGITS = 20
# After a timeout the service is likely at work on the request still: a second one makes it worse.
LOST_CONNECTION = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is sent again after a 429, a 503 or a lost connection.

    `Retry-After` is the least that is waited; without it, the wait doubles from 0.25 s. Either is
    scattered, because clients that were refused together would return together. A call never sleeps
    longer than `max_wait_seconds` in all: where that would be needed, it raises at once.
    """

    count: int = 4
    max_wait_seconds: float = 30.0

    def wait_seconds(self, retry: int, waited_seconds: float, error: TiedlmError) -> float | None:
        """Before retry number `retry` (from 0), or None if there shall be none."""
        left = self.max_wait_seconds - waited_seconds
        asked = error.retry_after_seconds
        if asked is None:
            least, most = 0.0, FIRST_WAIT_SECONDS * 2**retry
        else:
            least, most = asked, 1.25 * asked
        if retry >= self.count or least > left:
            return None
        return min(left, random.uniform(max(least, most / 2), most))


@dataclass(frozen=True, slots=True)
class Attempt:
    """Sleep, then send; the id is one for all attempts of a call."""

    wait_seconds: float
    request_id: str


Outcome = httpx.Response | httpx.RequestError
Exchange = Generator[Attempt, Outcome | None, T]


def exchange(call: Call[T], retries: Retries, address: str = "the service") -> Exchange[T]:
    """A generator of attempts: it is sent their outcomes, None first, and returns the result.

    `address` is what errors call the service.

    Raises TiedlmError.
    """
    request_id = uuid4().hex
    wait_seconds = waited_seconds = 0.0
    for retry in count():
        outcome = yield Attempt(wait_seconds, request_id)
        assert outcome is not None
        try:
            return _result(call, outcome, request_id, address)
        except (ConnectionFailed, Unavailable) as error:
            if call.if_unavailable is not None:
                return call.if_unavailable
            wait = retries.wait_seconds(retry, waited_seconds, error)
            if wait is None or not isinstance(outcome, (httpx.Response, *LOST_CONNECTION)):
                raise
        wait_seconds = wait
        waited_seconds += wait
    raise AssertionError("count() does not end")


def _result(call: Call[T], outcome: Outcome, request_id: str, address: str) -> T:
    if isinstance(outcome, httpx.RequestError):
        message = f"no answer from {address}: {type(outcome).__name__}: {outcome}"
        raise ConnectionFailed(message, request_id=request_id) from outcome
    request_id = readable(outcome.headers.get("X-Request-Id")) or request_id
    status = outcome.status_code
    problem = outcome.extensions.get(PROBLEM)
    content = None
    if problem is None:
        try:
            content = json.loads(outcome.content.decode(), parse_constant=_refuse)
        except RecursionError:
            problem = "is nested too deeply"
        except ValueError:
            problem = "is not JSON in UTF-8"
    if status != 200:
        raise error_of(status, content, address, request_id, _retry_after_seconds(outcome))
    if problem is None:
        try:
            return call.read(content)
        except (TypeError, KeyError) as error:
            problem = f"is not the service's: {readable(str(error))}"
    raise ServerError(f"the answer of {address} {problem}", status=status, request_id=request_id)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _retry_after_seconds(response: httpx.Response) -> float | None:
    """Seconds or a date (RFC 9110, 10.2.3); a date counts from the answer's own, by its clock.
    None for what is neither, or later than anyone waits.
    """
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        seconds = float(value) if len(value) < DIGITS else math.inf
    else:
        try:
            until, now = parsedate_tz(value), parsedate_tz(response.headers.get("Date", ""))
            if until is None or now is None:
                return None
            seconds = max(0.0, float(mktime_tz(until) - mktime_tz(now)))
        except (ValueError, TypeError, LookupError, OverflowError):  # no such date
            return None
    return seconds if seconds < LONGEST_SECONDS else None
