"""Long pieces of Python away from the event loop, one at a time.

Threads that hold the interpreter lock in turn add up: eight of them would make the event loop wait
for eight switches. One keeps it at one. What waits for it is known by what it will take, so that
what would wait too long is refused as in the batcher's queue.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service.arrays import Priority
from service.errors import DeadlineExceeded, Overloaded
from service.limits import WaitLimits

T = TypeVar("T")

# Rounded up from what two cores took: 0.15 to 0.45 of tokenizing, 1.5 of a token's JSON.
SECONDS_PER_CHARACTER = 0.5e-6
SECONDS_PER_TOKEN = 2e-6
# Parsing 8 MB of JSON takes 0.03 s for one string and 0.4 s for a million numbers.
SECONDS_PER_JSON_BYTE = 0.05e-6


class BackgroundThread:
    def __init__(
        self, wait_limits: WaitLimits | None = None, request_timeout_seconds: float = math.inf
    ) -> None:
        self._wait_limits = wait_limits or WaitLimits()
        self._request_timeout_seconds = request_timeout_seconds
        self._executor = ThreadPoolExecutor(1, "long-work")
        self._lock = threading.Lock()
        self._waiting = 0
        self._waiting_seconds = 0.0

    @property
    def waiting_seconds(self) -> float:
        """What is begun or waits will take, as far as that is known."""
        return self._waiting_seconds

    async def run(
        self, work: Callable[[], T], seconds: float = 0.0, *, lane: Priority | None = None
    ) -> T:
        """Return what `work` returns, which takes about `seconds`. It is dropped if its caller
        leaves before it has begun.

        With a `lane`, raise Overloaded if the expected wait exceeds the lane's limit, and
        DeadlineExceeded if it waited longer than a request may. Without one it never fails so.
        """
        if lane is not None:
            self._check_room(self._wait_limits.of(lane))
        come = time.monotonic()

        def begun() -> T:
            limit = self._request_timeout_seconds
            if lane is not None and time.monotonic() - come > limit:
                raise DeadlineExceeded(f"the text was not read within {limit:g} seconds")
            return work()

        self._add(1, seconds)
        future = self._executor.submit(begun)
        future.add_done_callback(lambda _: self._add(-1, -seconds))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        self._executor.shutdown()

    def _check_room(self, limit: float) -> None:
        seconds = self._waiting_seconds
        if seconds > limit:
            raise Overloaded(
                f"tokenizing is busy: expected wait {seconds:.2g} s (at most {limit:g} s)", seconds
            )

    def _add(self, count: int, seconds: float) -> None:
        with self._lock:
            self._waiting += count
            # Sums of floats do not always come back to 0.
            self._waiting_seconds = self._waiting_seconds + seconds if self._waiting else 0.0
