"""TimeoutProtocol: uvicorn's HTTP protocol with time limits for each client and bounded buffers."""

import asyncio
import fcntl
import sys
import termios
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.http.connection.framed_protocol import FramedProtocol
from service.http.request_context import SCOPE_KEY, RequestContext


class TimeoutProtocol(FramedProtocol):
    """Ends the connection of a client that exceeds `client_seconds`: to send a head, counted from
    the start of the connection or the end of the last response, or to read any of a response.

    The time limit of bodies is in `service.http.body.request_body`.
    """

    client_seconds = 20.0
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_head_timer()

    def on_headers_complete(self) -> None:
        self._cancel(self._head_timer)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        others_queued = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writes()
        elif not others_queued:
            self._start_head_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writes()

    def resume_writing(self) -> None:
        self._cancel(self._write_timer)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        # An early response would be lost if its client could not send the rest of the body.
        if self._body is not None:
            return
        super().timeout_keep_alive_handler()
        self._watch_writes()

    def shutdown(self) -> None:
        super().shutdown()
        self._watch_writes()

    def eof_received(self) -> None:
        super().eof_received()
        self._watch_writes()

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        self._watch_writes()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel(self._head_timer)
        self._cancel(self._write_timer)
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Note the time, because the event loop may start other requests first."""
        cycle.scope[SCOPE_KEY] = RequestContext()  # type: ignore[literal-required]  # our own key
        super()._start_asgi_task(cycle, app)

    def _start_head_timer(self) -> None:
        self._cancel(self._head_timer)
        self._head_timer = self.loop.call_later(self.client_seconds, self._on_head_timeout)

    def _on_head_timeout(self) -> None:
        timer = self._write_timer
        if timer is None or timer.cancelled() or timer.when() < self.loop.time():
            self._watch_writes()  # because `pause_writing` reports no response below 64 KiB
        if self.transport.is_closing():  # a closing connection has its own limit
            return
        if self.lingering.get_write_buffer_size():  # the client must read the last response first
            self._start_head_timer()
        elif self._body is not None:  # of the request that was answered
            self.transport.close()
        else:
            self.lingering.abort()

    def _watch_writes(self, bytes_before: int | None = None) -> None:
        """Abort unless the client read some of the response since the last call; call again later.

        The first call passes no `bytes_before`.
        """
        self._cancel(self._write_timer)
        buffered = self.lingering.get_write_buffer_size()
        if not buffered:  # the kernel has the rest
            return
        unread = buffered + _unacknowledged_bytes(self.lingering)
        if bytes_before is not None and unread >= bytes_before:
            self.lingering.abort()
        else:
            self._write_timer = self.loop.call_later(
                self.client_seconds, self._watch_writes, unread
            )

    @staticmethod
    def _cancel(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


def _unacknowledged_bytes(transport: asyncio.Transport) -> int:
    """Return the bytes in the kernel that the client has not acknowledged.

    Some megabytes may pass through the kernel without a change of asyncio's buffer.
    """
    try:
        number = transport.get_extra_info("socket").fileno()
        answer = fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4))
    except OSError:  # macOS has no TIOCOUTQ on sockets
        return 0
    return int.from_bytes(answer, sys.byteorder)


def timeout_protocol(
    client_seconds: float, max_body_bytes: int = FramedProtocol.max_body_bytes
) -> type[TimeoutProtocol]:
    """Return a subclass with these limits, because uvicorn takes a class."""
    limits = {"client_seconds": client_seconds, "max_body_bytes": max_body_bytes}
    return type("Protocol", (TimeoutProtocol,), limits)
