"""uvicorn's protocol, which waits for no client for ever and keeps little for any."""

import asyncio
import fcntl
import sys
import termios
import time
from collections.abc import Sized
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.http.boundary import SCHEDULED
from service.http.errors import envelope
from service.http.exchange import refusal_headers

# Far more than any client sends, of a head or of what follows a body; that has `max_body_bytes`.
MAX_HEAD_BYTES = 64 << 10
# Requests that may wait on a connection for those before them.
MAX_PIPELINED = 256


class PatientProtocol(HttpToolsProtocol):
    """Ends the connections of clients that take too long to send a head, from the connection's
    beginning or the last answer's end on, or that take nothing of an answer for so long. Bodies
    have their own clock in `service.http.body`.

    What stands after a body is no part of a request, and an upgrade to another protocol is not
    taken: the request is answered as it is (RFC 9110, sections 6.5.1 and 7.8).
    """

    client_seconds = 20.0
    _in_head = False
    _framing_bytes = 0  # received since the request last came forward
    _came_forward = False
    _upgrades = False
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = OneByOne(transport, self.pipeline)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._came_forward = False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("")
            return
        if self._came_forward:
            self._framing_bytes = 0
        else:
            self._framing_bytes += len(data)
        if self._framing_bytes > MAX_HEAD_BYTES or len(self.pipeline) > MAX_PIPELINED:
            self._give_up()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._upgrades = self.parser.should_upgrade()
        if self._upgrades:
            return
        self._stop(self._head_timer)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._came_forward = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._upgrades:
            self._came_forward = True
            super().on_message_complete()

    def _feed(self, data: bytes) -> None:
        """Raises HttpParserError. At an upgrade the parser stops after the head: another reads on
        from the same head without it.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError("CONNECT is for proxies") from None
            version = self.parser.get_http_version().encode()
            lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
            lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self._feed(b"\r\n".join([*lines, b"", data[stopped.args[0] :]]))

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
        super().timeout_keep_alive_handler()
        self._watch_writes()

    def shutdown(self) -> None:
        super().shutdown()
        self._watch_writes()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._head_timer)
        self._stop(self._write_timer)
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope[SCHEDULED] = time.perf_counter()  # type: ignore[literal-required]  # ours
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """To what is no HTTP, in the one envelope; no application ever sees it. What was asked
        before on the connection is answered first, and then there is no answer to this.
        """
        if self._owes_an_answer:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        answer = envelope(400, "invalid_request", "this is no HTTP/1.1 request")
        lines = [b"%s: %s" % header for header in (*answer.raw_headers, *refusal_headers())]
        head = [b"HTTP/1.1 400 Bad Request", *lines, b"connection: close", b"", answer.body]
        self.transport.write(b"\r\n".join(head))
        self.transport.close()

    @property
    def _owes_an_answer(self) -> bool:
        """To another request than the one whose body is on its way."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        return bool(self.pipeline) or self.cycle.response_started or not self.cycle.more_body

    def _expect_head(self) -> None:
        self._stop(self._head_timer)
        self._head_timer = self.loop.call_later(self.client_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        if self.transport.get_write_buffer_size():  # it has the last answer to take first
            self._expect_head()
        else:
            self._give_up()

    def _watch_writes(self, before: int | None = None) -> None:
        """Look again later whether the client took any of the answer that waits for it."""
        self._stop(self._write_timer)
        waiting = self.transport.get_write_buffer_size()
        if not waiting:  # the rest is the kernel's
            return
        left = waiting + _in_the_kernel(self.transport)
        if before is not None and left >= before:
            self._give_up()
        else:
            self._write_timer = self.loop.call_later(self.client_seconds, self._watch_writes, left)

    def _give_up(self) -> None:
        self.transport.abort()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


class OneByOne(FlowControl):
    """Reads no more of a connection while requests of it wait for those before them."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


def _in_the_kernel(transport: asyncio.Transport) -> int:
    """Bytes sent that the other side has not confirmed: some megabytes may pass there unseen."""
    answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def patient_protocol(client_seconds: float) -> type[PatientProtocol]:
    return type("Protocol", (PatientProtocol,), {"client_seconds": client_seconds})
