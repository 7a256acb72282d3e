"""A background thread that runs long Python work, one call at a time, off the event loop.

One thread is enough, because threads that hold the interpreter lock add up: with eight of them, the
event loop would wait for eight switches. It adds up the expected time of all waiting work, so that
a request that would wait too long is refused, as in the batcher's queue.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service.arrays import Priority
from service.errors import DeadlineExceeded

T = TypeVar("T")

# Tokenizing took 0.15 to 0.45 µs for each character on one of two cores.
SECONDS_PER_CHARACTER = 0.5e-6
# Writing the JSON of a token took 1.5 µs.
SECONDS_PER_TOKEN = 2e-6
# Parsing 8 MB of JSON takes 0.03 s for one string and 0.4 s for a million numbers.
SECONDS_PER_JSON_BYTE = 0.05e-6


class BackgroundThread:
    def __init__(
        self,
        check_wait: Callable[[Priority, float], None] = lambda *_: None,
        request_timeout_seconds: float = math.inf,
    ) -> None:
        """`check_wait(priority, seconds)` raises Overloaded if `seconds` of work that wait are too
        many for a request of the priority.
        """
        self._check_wait = check_wait
        self._request_timeout_seconds = request_timeout_seconds
        self._executor = ThreadPoolExecutor(1, "background")
        self._lock = threading.Lock()
        self._waiting = 0
        self._waiting_seconds = 0.0

    @property
    def waiting_seconds(self) -> float:
        """The expected time of the work that runs or waits."""
        return self._waiting_seconds

    async def run(
        self, work: Callable[[], T], seconds: float = 0.0, *, priority: Priority | None = None
    ) -> T:
        """Return what `work` returns, which takes about `seconds`. Work whose caller is cancelled
        before it starts is dropped.

        With a `priority`, raise Overloaded as `check_wait`, and DeadlineExceeded if the work waited
        longer than a request may. Without one, it never fails for waiting.
        """
        if priority is not None:
            self._check_wait(priority, self._waiting_seconds)
        submitted_at = time.monotonic()

        def start() -> T:
            limit = self._request_timeout_seconds
            if priority is not None and time.monotonic() - submitted_at > limit:
                raise DeadlineExceeded(f"the text was not tokenized within {limit:g} seconds")
            return work()

        self._add(1, seconds)
        future = self._executor.submit(start)
        future.add_done_callback(lambda _: self._add(-1, -seconds))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        self._executor.shutdown()

    def _add(self, count: int, seconds: float) -> None:
        with self._lock:
            self._waiting += count
            # A sum of floats does not always return to 0.
            self._waiting_seconds = self._waiting_seconds + seconds if self._waiting else 0.0
