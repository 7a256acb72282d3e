"""How late the event loop runs what is due, measured while somebody needs to know."""

import asyncio
from collections.abc import Callable

PROBE_SECONDS = 0.005


class LoopLag:
    """A probe that is due every 5 ms. `seconds` is how late the last one ran."""

    def __init__(self, needed: Callable[[], bool]) -> None:
        """`needed` is called after each probe; the probes end when it returns False."""
        self.seconds = 0.0
        self._needed = needed
        self._runs = False

    def watch(self) -> None:
        """Begin to probe. Call it on the event loop."""
        if not self._runs:
            self._runs = True
            self._probe_later()

    def _probe_later(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(PROBE_SECONDS, self._probe, loop.time() + PROBE_SECONDS)

    def _probe(self, due: float) -> None:
        self.seconds = max(0.0, asyncio.get_running_loop().time() - due)
        if self._needed():
            self._probe_later()
        else:
            self._runs, self.seconds = False, 0.0
