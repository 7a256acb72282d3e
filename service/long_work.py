"""Long pieces of Python away from the event loop, one at a time.

Threads that hold the interpreter lock in turn add up: eight of them would make the event loop wait
for eight switches. One keeps it at one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class LongWork:
    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "long-work")

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        self._executor.shutdown()
