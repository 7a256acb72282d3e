"""How late the event loop runs what is due, measured while somebody needs to know."""

import asyncio
from collections.abc import Callable

PROBE_SECONDS = 0.005


class LoopLag:
    """A probe that is due every 5 ms. `seconds` is how late the last one ran."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._needed: Callable[[], bool] | None = None

    def watch(self, needed: Callable[[], bool]) -> None:
        """Begin to probe, on the event loop. `needed` is called after each probe; the probes end
        when it returns False.
        """
        if self._needed is None:
            self._needed = needed
            self._probe_later()

    def _probe_later(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(PROBE_SECONDS, self._probe, loop.time() + PROBE_SECONDS)

    def _probe(self, due: float) -> None:
        self.seconds = max(0.0, asyncio.get_running_loop().time() - due)
        if self._needed is not None and self._needed():
            self._probe_later()
        else:
            self._needed, self.seconds = None, 0.0
