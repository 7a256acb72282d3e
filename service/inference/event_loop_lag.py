"""The lag of the event loop: how late it runs a callback that is due, measured while needed."""

import asyncio
from collections.abc import Callable

PROBE_SECONDS = 0.005


class LoopLag:
    """A probe that is due every 5 ms. `seconds` is how late the last one ran."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._is_needed: Callable[[], bool] | None = None

    def watch(self, is_needed: Callable[[], bool]) -> None:
        """Start to probe, on the event loop. `is_needed` is called after each probe, and the probes
        end when it returns False.
        """
        if self._is_needed is None:
            self._is_needed = is_needed
            self._probe_later()

    def _probe_later(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(PROBE_SECONDS, self._probe, loop.time() + PROBE_SECONDS)

    def _probe(self, due: float) -> None:
        self.seconds = max(0.0, asyncio.get_running_loop().time() - due)
        if self._is_needed is not None and self._is_needed():
            self._probe_later()
        else:
            self._is_needed, self.seconds = None, 0.0
