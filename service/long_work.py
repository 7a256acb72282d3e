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

from service.errors import DeadlineExceeded, Overloaded

T = TypeVar("T")

# Rounded up from what two cores took: 0.15 to 0.45 of tokenizing, 1.5 of a token's JSON.
SECONDS_PER_CHARACTER = 0.5e-6
SECONDS_PER_TOKEN = 2e-6


class LongWork:
    def __init__(
        self, max_wait_seconds: float = math.inf, request_timeout_seconds: float = math.inf
    ) -> None:
        self._max_wait_seconds = max_wait_seconds
        self._request_timeout_seconds = request_timeout_seconds
        self._executor = ThreadPoolExecutor(1, "long-work")
        self._lock = threading.Lock()
        self._waiting = 0
        self._waiting_seconds = 0.0

    @property
    def waiting_seconds(self) -> float:
        """What is begun or waits will take, as far as that is known."""
        return self._waiting_seconds

    async def run(self, work: Callable[[], T], seconds: float = 0.0, *, admitted: bool = True) -> T:
        """What `work` gives, which takes about so many seconds; it is dropped if its caller leaves
        before it has begun.

        Unless `admitted`, raises Overloaded where what comes before it takes too long, and
        DeadlineExceeded where it took so all the same.
        """
        if not admitted:
            self._check_room()
        come = time.monotonic()

        def begun() -> T:
            limit = self._request_timeout_seconds
            if not admitted and time.monotonic() - come > limit:
                raise DeadlineExceeded(f"the text was not read within {limit:g} seconds")
            return work()

        self._add(1, seconds)
        future = self._executor.submit(begun)
        future.add_done_callback(lambda _: self._add(-1, -seconds))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        self._executor.shutdown()

    def _check_room(self) -> None:
        seconds, limit = self._waiting_seconds, self._max_wait_seconds
        if seconds > limit:
            raise Overloaded(
                f"a text as long would wait {seconds:.2g} seconds to be read; {limit:g} is the "
                "limit",
                seconds,
            )

    def _add(self, count: int, seconds: float) -> None:
        with self._lock:
            self._waiting += count
            # Sums of floats do not always come back to 0.
            self._waiting_seconds = self._waiting_seconds + seconds if self._waiting else 0.0
