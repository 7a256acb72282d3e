"""uvicorn's HTTP protocol with time limits for each client."""

import asyncio
import fcntl
import sys
import termios
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.http.connection.framed_protocol import FramedProtocol
from service.http.request_context import SCOPE_KEY, RequestContext


class TimeoutProtocol(FramedProtocol):
    """Ends the connections of clients that take too long to send a head, from the connection's
    beginning or the last answer's end on, or that take nothing of an answer for so long. Bodies
    have their own clock in `service.http.body.request_body`.
    """

    client_seconds = 20.0
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._stop(self._head_timer)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        others_wait = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writes()
        elif not others_wait:
            self._expect_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writes()

    def resume_writing(self) -> None:
        self._stop(self._write_timer)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        if self._body is not None:  # an early answer is lost if its client cannot go on sending
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
        self._stop(self._head_timer)
        self._stop(self._write_timer)
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope[SCOPE_KEY] = RequestContext()  # type: ignore[literal-required]  # our own key
        super()._start_asgi_task(cycle, app)

    def _expect_head(self) -> None:
        self._stop(self._head_timer)
        self._head_timer = self.loop.call_later(self.client_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        timer = self._write_timer
        if timer is None or timer.cancelled() or timer.when() < self.loop.time():
            self._watch_writes()  # because `pause_writing` reports no answer below 64 KiB
        if self.transport.is_closing():  # that has its own clock
            return
        if self.closing.get_write_buffer_size():  # it has the last answer to take first
            self._expect_head()
        elif self._body is not None:  # of the request that was answered
            self.transport.close()
        else:
            self._give_up()

    def _watch_writes(self, before: int | None = None) -> None:
        """Look again later whether the client took any of the answer that waits for it."""
        self._stop(self._write_timer)
        waiting = self.closing.get_write_buffer_size()
        if not waiting:  # the rest is the kernel's
            return
        left = waiting + _in_the_kernel(self.closing)
        if before is not None and left >= before:
            self._give_up()
        else:
            self._write_timer = self.loop.call_later(self.client_seconds, self._watch_writes, left)

    def _give_up(self) -> None:
        self.closing.abort()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


def _in_the_kernel(transport: asyncio.Transport) -> int:
    """Bytes sent that the other side has not confirmed: some megabytes may pass there unseen."""
    try:
        number = transport.get_extra_info("socket").fileno()
        answer = fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4))
    except OSError:  # macOS has no TIOCOUTQ on sockets
        return 0
    return int.from_bytes(answer, sys.byteorder)


def timeout_protocol(
    client_seconds: float, max_body_bytes: int = FramedProtocol.max_body_bytes
) -> type[TimeoutProtocol]:
    limits = {"client_seconds": client_seconds, "max_body_bytes": max_body_bytes}
    return type("Protocol", (TimeoutProtocol,), limits)
