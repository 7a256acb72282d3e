"""When to read from a connection on which requests wait.

A connection's end is only seen by reading, so reading goes on while requests wait. Where it must
stop, for the sake of memory, the kernel is asked for the end from time to time.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

POLL_SECONDS = 0.25
# A client's end can stand behind what is not read. After this long without an answer, reading goes
# on, and what comes is dropped.
HOLD_SECONDS = 5.0
# Errors and resets are always among what `poll` finds. Linux alone can find a closed side too.
CLIENT_CLOSED = getattr(select, "POLLRDHUP", 0)


class ReadAhead(FlowControl):
    """Stops reading for the body of a request that is being answered, as uvicorn does, and never
    for requests that wait, unless it is told to `hold`. It then asks the kernel whether the client
    has left, and ends the connection.
    """

    def __init__(
        self,
        transport: Any,
        loop: asyncio.AbstractEventLoop,
        newest_waits: Callable[[], bool],
        drop_the_rest: Callable[[], None],
    ) -> None:
        super().__init__(transport)
        self._drop_the_rest = drop_the_rest
        self._held_until = 0.0
        self._loop = loop
        self._newest_waits = newest_waits
        self._timer: asyncio.TimerHandle | None = None

    def pause_reading(self) -> None:
        if not self._newest_waits():
            super().pause_reading()

    def resume_reading(self) -> None:
        if self._timer is None:
            super().resume_reading()

    def hold(self) -> None:
        super().pause_reading()
        self.answered()
        if self._timer is None:
            self._timer = self._loop.call_later(POLL_SECONDS, self._poll)

    def answered(self) -> None:
        """Hold for longer, because requests that wait are being answered."""
        self._held_until = self._loop.time() + HOLD_SECONDS

    def release(self) -> None:
        if self._timer is not None:
            self.lost()
            self.resume_reading()

    def lost(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _poll(self) -> None:
        if self._transport.is_closing():
            return
        ends = select.poll()
        ends.register(self._transport.get_extra_info("socket").fileno(), CLIENT_CLOSED)
        if ends.poll(0):
            self._transport.abort()
        elif self._loop.time() > self._held_until:
            self._drop_the_rest()
            self.release()
        else:
            self._timer = self._loop.call_later(POLL_SECONDS, self._poll)
