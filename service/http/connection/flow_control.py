"""PipelineFlowControl: when to read from a connection on which requests are queued.

The end of a connection is seen only by reading it, so reading goes on while requests are queued.
When reading must pause because of memory, the kernel is polled for the end instead.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

POLL_SECONDS = 0.25
# The client's FIN can stand behind bytes that are not read. After this long without a response,
# reading resumes, and the bytes are discarded.
HOLD_SECONDS = 5.0
# `poll` always reports errors and resets. Only Linux can report a closed peer too.
CLIENT_CLOSED = getattr(select, "POLLRDHUP", 0)


class PipelineFlowControl(FlowControl):
    """uvicorn's FlowControl for a connection with queued requests.

    Pauses reading for the body of the request that is being answered, as uvicorn does. Does not
    pause for queued requests until `hold` is called. While held, it polls the kernel, and aborts
    the connection if the client has left.
    """

    def __init__(
        self,
        transport: Any,
        loop: asyncio.AbstractEventLoop,
        newest_is_queued: Callable[[], bool],
        discard_rest: Callable[[], None],
    ) -> None:
        super().__init__(transport)
        self._discard_rest = discard_rest
        self._held_until = 0.0
        self._loop = loop
        self._newest_is_queued = newest_is_queued
        self._poll_timer: asyncio.TimerHandle | None = None

    def pause_reading(self) -> None:
        if not self._newest_is_queued():
            super().pause_reading()

    def resume_reading(self) -> None:
        if self._poll_timer is None:
            super().resume_reading()

    def hold(self) -> None:
        """Pause reading until `release`, or until HOLD_SECONDS pass without a response."""
        super().pause_reading()
        self.extend_hold()
        if self._poll_timer is None:
            self._poll_timer = self._loop.call_later(POLL_SECONDS, self._poll)

    def extend_hold(self) -> None:
        """Restart HOLD_SECONDS, because a response to a queued request was sent."""
        self._held_until = self._loop.time() + HOLD_SECONDS

    def release(self) -> None:
        if self._poll_timer is not None:
            self.cancel_timer()
            self.resume_reading()

    def cancel_timer(self) -> None:
        if self._poll_timer is not None:
            self._poll_timer.cancel()
            self._poll_timer = None

    def _poll(self) -> None:
        if self._transport.is_closing():
            return
        poller = select.poll()
        poller.register(self._transport.get_extra_info("socket").fileno(), CLIENT_CLOSED)
        if poller.poll(0):
            self._transport.abort()
        elif self._loop.time() > self._held_until:
            self._discard_rest()
            self.release()
        else:
            self._poll_timer = self._loop.call_later(POLL_SECONDS, self._poll)
